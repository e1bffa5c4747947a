"""docker-compose.yml gives each service the RabbitMQ user that deploy/rabbitmq makes for it."""

import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml  # type: ignore[import-untyped]  # has no types

from taskyard import config
from taskyard.config import FIELDS
from taskyard.config_reading import SECRETS
from tests.secured import DEPLOY, USERS, variables
from tests.yard import CHECKOUT
from tools.install_packages import OPENSSL_PACKAGE, ensure_installed

BROKER_URL = re.compile(r"amqp://(\w+):\$\{(\w+):-(\w+)\}@rabbitmq:5672/taskyard")


#: Settings that are not the user's: what the container is to others, and what is in it.
OF_THE_CONTAINER = {
    *("api_host", "api_port", "metrics_host", "metrics_port", "broker_url", "result_backend"),
    *("schedules_file", "tls_ca_file", "tls_cert_file", "tls_key_file"),
    *(f"{name}_file" for name in SECRETS),
}


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
    assert services["rabbitmq"]["environment"][variable] == f"${{{variable}:-{default}}}"


def test_rabbitmq_is_told_the_password_of_every_user(services):
    """And makes no other user."""
    told = services["rabbitmq"]["environment"]
    passwords = {name for name in told if name.endswith("_PASSWORD")}
    users = json.loads((DEPLOY / "definitions.json").read_text())["users"]

    assert variables(dict.fromkeys(USERS, "")).keys() == passwords
    assert sorted(USERS) == sorted(each["name"] for each in users)


def test_every_port_is_on_loopback(services):
    """Passwords of development are reached from this machine only."""
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert len(ports) >= 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_setting_in_the_environment_reaches_a_service(services):
    """One that is set in .env is not passed over without a word."""
    passed = {
        name.lower() for each in ("api", "worker") for name in services[each]["environment"] or {}
    }

    assert FIELDS.keys() - passed - OF_THE_CONTAINER == set()
    assert passed & OF_THE_CONTAINER == {"broker_url", "result_backend"}


def test_redis_has_a_password_wherever_it_can_be_reached(services):
    """The services have the same; with secrets it comes from its file."""
    redis = services["redis"]
    secret = yaml.safe_load((DEPLOY.parent / "compose.secrets.yml").read_text())["services"]
    tls = yaml.safe_load((DEPLOY.parent / "compose.tls.yml").read_text())["services"]

    assert redis["environment"] == {"REDIS_PASSWORD": "${REDIS_PASSWORD:-redis}"}
    assert "requirepass" in redis["entrypoint"][2]
    assert secret["redis"] == {"environment": {"REDIS_PASSWORD": ""}, "secrets": ["redis"]}
    for name in ("api", "worker", "scheduler"):
        address = ":${REDIS_PASSWORD:-redis}@redis:6379/0"
        assert services[name]["environment"]["RESULT_BACKEND"] == f"redis://{address}"
        assert tls[name]["environment"]["RESULT_BACKEND"] == f"rediss://{address}"


@pytest.mark.parametrize("password", ["", "with/slash", "with space", "two\nlines"])
def test_redis_does_not_start_with_a_password_that_would_break_a_url(services, password):
    """Nor without one."""
    script = services["redis"]["entrypoint"][2].replace("$$", "$")

    done = subprocess.run(
        ["sh", "-c", script, "sh", "redis-server"],
        env={"PATH": os.environ["PATH"], "REDIS_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "REDIS_PASSWORD must be of letters" in done.stderr


DOCKER = """#!/bin/sh
case "$*" in
  "compose port api 5000") echo 127.0.0.1:8000 ;;
  "compose port rabbitmq 5671") echo 127.0.0.1:5691 ;;
  "compose port rabbitmq 5672") echo 127.0.0.1:5692 ;;
  "compose port redis 6379") echo 127.0.0.1:6399 ;;
  "compose exec -T api sh "*) shift 4; exec "$@" ;;
  *) exit 1 ;;
esac
"""


@pytest.fixture
def addresses(tmp_path):
    """A function that returns what a shell has after deploy/addresses.sh, beside a stand-in for Docker."""
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(DEPLOY.parent / "addresses.sh", deploy)
    stand_in = tmp_path / "docker"
    stand_in.write_text(DOCKER)
    stand_in.chmod(0o755)

    def addresses(**of_the_api):
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **of_the_api}
        done = subprocess.run(
            [str(deploy / "addresses.sh")], env=env, capture_output=True, text=True, check=True
        )
        exports = [line.removeprefix("export ") for line in done.stdout.splitlines()]
        return {each.partition("=")[0]: shlex.split(each.partition("=")[2])[0] for each in exports}

    return addresses


def test_programs_on_the_host_are_told_where_the_servers_are(addresses, tmp_path):
    """With the ports that are published, and what the services have in common."""
    plain = {
        "BROKER_URL": "amqp://api:pass-word@rabbitmq:5672/taskyard",
        "RESULT_BACKEND": "redis://:redis@redis:6379/0",
        "QUEUE_TYPE": "classic",
    }

    assert addresses(**plain) == {
        "BROKER_URL": "amqp://api:pass-word@127.0.0.1:5692/taskyard",
        "RESULT_BACKEND": "redis://:redis@127.0.0.1:6399/0",
        "API_URL": "http://127.0.0.1:8000",
        "QUEUE_TYPE": "classic",
    }
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run/env").write_text("export BROKER_URL=amqp://of-make-run\n")
    assert addresses(**plain) == {"BROKER_URL": "amqp://of-make-run"}


def test_programs_on_the_host_are_told_what_secrets_and_tls_need(addresses, tmp_path):
    """Addresses from files, the name of the certificates, and the CA."""
    (tmp_path / "broker").write_text("amqps://api:0123@rabbitmq:5671/taskyard\n")
    (tmp_path / "store").write_text("rediss://:4567@redis:6379/0\n")

    found = addresses(
        BROKER_URL_FILE=str(tmp_path / "broker"), RESULT_BACKEND_FILE=str(tmp_path / "store")
    )

    assert found == {
        "TLS_CA_FILE": str(tmp_path / "deploy/certificates/ca.pem"),
        "BROKER_URL": "amqps://api:0123@localhost:5691/taskyard",
        "RESULT_BACKEND": "rediss://:4567@localhost:6399/0",
        "API_URL": "http://127.0.0.1:8000",
    }


def test_no_log_fills_the_disk(services):
    """Docker keeps so many files of such a size."""
    for name, service in services.items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_no_service_takes_the_memory_of_others(services):
    """Each has its limit; RabbitMQ is told it, and that of Redis is above what it holds."""
    for name in ("api", "worker", "scheduler", "rabbitmq", "redis"):
        assert services[name]["mem_limit"], name
    told = services["rabbitmq"]["environment"]["TASKYARD_RABBITMQ_MEMORY"]
    assert services["rabbitmq"]["mem_limit"] == told
    assert "$(TASKYARD_RABBITMQ_MEMORY)" in (DEPLOY / "container.conf").read_text()
    assert "--maxmemory ${REDIS_MAXMEMORY:-1gb}" in services["redis"]["command"]


def test_no_service_has_capabilities(services):
    """RabbitMQ and Redis are their own users from the start: their images need some only to become them."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert {name: services[name]["user"] for name in ("rabbitmq", "redis")} == {
        "rabbitmq": "rabbitmq",
        "redis": "redis",
    }


def test_every_image_can_be_pinned(services, tmp_path):
    """With a stand-in for Docker that knows each image by one digest: no image is passed over."""
    stand_in = tmp_path / "docker"
    stand_in.write_text("#!/bin/sh\necho image@sha256:0123\n")
    stand_in.chmod(0o755)
    made = tmp_path / "images.yml"

    subprocess.run(
        [str(CHECKOUT / "deploy" / "pin_images.sh"), str(made)],
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )

    pinned = yaml.safe_load(made.read_text())["services"]
    assert pinned.keys() == services.keys()
    for name, service in services.items():
        if "build" in service:
            base = pinned[name]["build"]["args"]["PYTHON_IMAGE"]
            assert re.fullmatch(r"python:\S+-slim@sha256:0123", base)
        else:
            assert pinned[name]["image"] == f"{service['image']}@sha256:0123"


def define(folder, *command, env=None, **changed):
    """Write the definitions with these passwords, then run the command."""
    passwords = variables({**{user: f"secret-{user}" for user in USERS}, **changed})
    return subprocess.run(
        [str(DEPLOY / "definitions.sh"), str(folder / "made/definitions.json"), *command],
        env={"PATH": os.environ["PATH"], **passwords, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_password_of_development_is_told(tmp_path):
    """By its variable, and the others are not."""
    done = define(tmp_path, worker="worker")

    assert done.returncode == 0
    assert re.findall(r"RABBITMQ_\w+", done.stderr) == ["RABBITMQ_WORKER_PASSWORD"]


@pytest.mark.parametrize("password", ["", "with/slash", "with space", 'with"quote'])
def test_a_password_that_would_break_a_url_is_refused(tmp_path, password):
    """Nothing is written."""
    done = define(tmp_path, producer=password)

    assert done.returncode == 2
    assert (
        "RABBITMQ_PRODUCER_PASSWORD or RABBITMQ_PRODUCER_PASSWORD_FILE must be set" in done.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_no_password_is_written(tmp_path):
    """Only hashes, for the eyes of the server's user."""
    define(tmp_path)

    path = tmp_path / "made/definitions.json"
    assert "secret-" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_password_comes_from_a_file(tmp_path):
    """Without the end of its line; the command that follows gets to know neither."""
    path = tmp_path / "password"
    path.write_text("worker\n")

    done = define(tmp_path, "env", worker="", env={"RABBITMQ_WORKER_PASSWORD_FILE": str(path)})

    assert done.returncode == 0
    assert re.findall(r"RABBITMQ_\w+", done.stderr) == ["RABBITMQ_WORKER_PASSWORD"]
    assert "of development" in done.stderr
    assert "PASSWORD" not in done.stdout


@pytest.mark.parametrize(
    ("content", "password", "fault"),
    [
        ("good", "good", "are both set"),
        (None, "", "cannot be read"),
        ("", "", "must be set"),
        ("two\nlines", "", "must be set"),
    ],
)
def test_a_file_that_holds_no_password_is_refused(tmp_path, content, password, fault):
    """Its variable is named, and nothing is written."""
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
    variable = "RABBITMQ_API_PASSWORD_FILE"

    done = define(tmp_path, api=password, env={variable: str(path)})

    assert done.returncode == 2
    assert variable in done.stderr
    assert fault in done.stderr
    assert not (tmp_path / "made").exists()


def made(folder, script, *args):
    """Run one of the scripts in a copy of deploy/, and return where the copy is."""
    copy = folder / "deploy"
    copy.mkdir(exist_ok=True)
    shutil.copy(DEPLOY.parent / script, copy)
    subprocess.run([str(copy / script), *args], check=True, capture_output=True)
    return copy


def test_every_secret_that_compose_wants_is_made(tmp_path, services):
    """Of the same services, with addresses and a key that the settings take; a second time they stay."""
    override = yaml.safe_load((DEPLOY.parent / "compose.secrets.yml").read_text())

    deploy = made(tmp_path, "make_secrets.sh", "--tls")
    first = {path.name: path.read_text() for path in (deploy / "secrets").iterdir()}
    made(tmp_path, "make_secrets.sh", "--tls")

    assert {path.name: path.read_text() for path in (deploy / "secrets").iterdir()} == first
    assert {name: f"./deploy/secrets/{name}" for name in first} == {
        name: each["file"] for name, each in override["secrets"].items()
    }
    assert override["services"].keys() <= services.keys()
    for name in ("api", "worker", "scheduler"):
        environment = override["services"][name]["environment"]
        files = {
            variable.lower(): str(deploy / "secrets" / path.removeprefix("/run/secrets/"))
            for variable, path in environment.items()
            if path
        }
        settings = config.load(**files)
        assert settings.broker_url.startswith(f"amqps://{name}:{first[name].strip()}@rabbitmq:5671")
        assert settings.result_backend == f"rediss://:{first['redis'].strip()}@redis:6379/0"
    assert (deploy / "secrets").stat().st_mode & 0o777 == 0o700


def test_the_certificates_are_those_of_the_hosts(tmp_path):
    """Signed by the CA, which stays the same when they are made anew."""
    ensure_installed([OPENSSL_PACKAGE])
    folder = made(tmp_path, "make_certificates.sh") / "certificates"
    ca = (folder / "ca.pem").read_bytes()
    made(tmp_path, "make_certificates.sh", "30")

    assert (folder / "ca.pem").read_bytes() == ca
    for host in ("rabbitmq", "redis"):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem"]
        command += ["-purpose", "sslserver", "-verify_hostname", host, f"{host}.pem"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.stdout == f"{host}.pem: OK\n", done.stderr


def test_redis_keeps_its_options_with_tls(services):
    """The override repeats the command; none is lost by that."""
    override = yaml.safe_load((DEPLOY.parent / "compose.tls.yml").read_text())

    command = services["redis"]["command"]
    assert override["services"]["redis"]["command"][: len(command)] == command
