"""docker-compose.yml gives each service the RabbitMQ user that deploy/rabbitmq makes for it."""

import json
import os
import re
import subprocess

import pytest
import yaml  # type: ignore[import-untyped]  # has no types

from tests.secured import DEPLOY, USERS, variables
from tests.yard import CHECKOUT

BROKER_URL = re.compile(r"amqp://(\w+):\$\{(\w+):-(\w+)\}@rabbitmq:5672/taskyard")


@pytest.fixture(scope="module")
def services():
    """The services of the compose file."""
    return yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", ["api", "worker", "scheduler"])
def test_a_service_is_its_own_user(services, name):
    """With the password that RabbitMQ is told."""
    match = BROKER_URL.fullmatch(services[name]["environment"]["BROKER_URL"])

    assert match is not None
    user, variable, default = match.groups()
    assert (name, f"RABBITMQ_{name.upper()}_PASSWORD") == (user, variable)
    assert f"${{{variable}:-{default}}}" == services["rabbitmq"]["environment"][variable]


def test_rabbitmq_is_told_the_password_of_every_user(services):
    """And makes no other user."""
    passwords = services["rabbitmq"]["environment"]
    users = json.loads((DEPLOY / "definitions.json").read_text())["users"]

    assert variables(dict.fromkeys(USERS, "")).keys() == passwords.keys()
    assert sorted(USERS) == sorted(each["name"] for each in users)


def test_every_port_is_on_loopback(services):
    """Passwords of development are reached from this machine only."""
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert len(ports) >= 4
    assert [] == [port for port in ports if not port.startswith("127.0.0.1:")]


def define(folder, **changed):
    """Write the definitions with these passwords."""
    passwords = variables({**{user: f"secret-{user}" for user in USERS}, **changed})
    return subprocess.run(
        [str(DEPLOY / "definitions.sh"), str(folder / "made/definitions.json")],
        env={"PATH": os.environ["PATH"], **passwords},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_password_of_development_is_told(tmp_path):
    """By its variable, and the others are not."""
    done = define(tmp_path, worker="worker")

    assert 0 == done.returncode
    assert ["RABBITMQ_WORKER_PASSWORD"] == re.findall(r"RABBITMQ_\w+", done.stderr)


@pytest.mark.parametrize("password", ["", "with/slash", "with space", 'with"quote'])
def test_a_password_that_would_break_a_url_is_refused(tmp_path, password):
    """Nothing is written."""
    done = define(tmp_path, producer=password)

    assert 2 == done.returncode
    assert "RABBITMQ_PRODUCER_PASSWORD must be set, to letters" in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_no_password_is_written(tmp_path):
    """Only hashes, for the eyes of the server's user."""
    define(tmp_path)

    path = tmp_path / "made/definitions.json"
    assert "secret-" not in path.read_text()
    assert 0o600 == path.stat().st_mode & 0o777
