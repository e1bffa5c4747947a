"""API keys and real processes: what the API does at its start, and the `taskyard keys` commands."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from services.api.auth import exposure, keyring
from taskyard import config, keys
from taskyard.cli import main
from taskyard.errors import ConfigurationError
from taskyard.keys import new_key, new_token
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def environment(settings) -> dict[str, str]:
    """The variables of processes on this test's store."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return {
        "BROKER_URL": settings.broker_url,
        "RESULT_BACKEND": settings.result_backend,
        "KEY_PREFIX": settings.key_prefix,
        "API_PORT": str(port),
        "LOG_FORMAT": "json",
        "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}",
    }


@pytest.fixture
def run(environment):
    """A function that runs `taskyard keys` in this process; gives exit code, output and error output."""

    def command(*args: str) -> tuple[int, str, str]:
        done = CliRunner(env=environment).invoke(main, ["keys", *args])
        return done.exit_code, done.stdout, done.stderr

    return command


def start(environment: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "services.api"]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)


def serve(environment: dict[str, str], folder: Path, look: Any) -> str:
    """Run the API until `look` has returned, which is given a client; return the log."""
    path = folder / "api.log"
    with path.open("wb") as log:
        process = start(environment, log)
    try:
        url = f"http://127.0.0.1:{environment['API_PORT']}"
        with httpx2.Client(base_url=url, timeout=20) as http:

            def answers() -> bool:
                assert process.poll() is None, path.read_text()
                try:
                    return bool(http.get("/healthz").status_code == 200)
                except httpx2.TransportError:
                    return False

            poll(answers)
            look(http)
    finally:
        process.kill()
        process.wait()
    return path.read_text()


def test_on_loopback_it_serves_without_a_key_and_says_so(environment, tmp_path):
    """Everyone here; not who comes by another name, through a proxy, or from another page."""

    def look(http):
        assert http.get("/v1/jobs").status_code == 200
        for headers in (
            {"Host": "evil.example"},
            {"X-Forwarded-For": "10.0.0.1"},
            {"Host": "127.0.0.1.evil.example"},
        ):
            assert http.get("/v1/jobs", headers=headers).status_code == 403
        foreign = {"Origin": "http://evil.example"}
        assert http.post("/v1/queues/default/pause", headers=foreign).status_code == 403

    log = serve(environment, tmp_path, look)
    assert "there is no API key: this machine is served without one" in log


def ended(environment: dict[str, str]) -> tuple[int, str]:
    """Run an API that ends by itself; return its exit status and what it said."""
    process = start(environment, subprocess.PIPE)
    _, said = process.communicate(timeout=30)
    return process.returncode, said.decode()


def test_it_does_not_start_for_all_to_reach_without_a_key(environment):
    """It says what can be done."""
    status, said = ended({**environment, "API_HOST": "0.0.0.0"})

    assert status == 2
    for word in ("API_HOST=0.0.0.0", "taskyard keys create", "API_KEY", "API_ALLOW_ANONYMOUS"):
        assert word in said
    assert "Traceback" not in said


def test_the_first_key_comes_from_a_file(environment, store, tmp_path):
    """Its holder may do everything; strangers at the socket do not get in, and it goes on serving.

    Whether with huge headers, two of the same, line breaks in one, or spellings that a proxy lets pass.
    """
    secret = tmp_path / "secret"
    secret.write_text(TOKEN + "\n")
    variables = {**environment, "API_HOST": "0.0.0.0", "API_KEY_FILE": str(secret)}
    token = TOKEN.encode()
    good = b"Authorization: Bearer " + token

    def status(*headers: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", int(environment["API_PORT"])), 10) as sent:
            sent.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
            sent.sendall(b"".join(line + b"\r\n" for line in headers) + b"\r\n")
            return sent.makefile("rb").readline().split()[1]

    def look(_http):
        assert status() == b"401"
        assert status(good) == b"200"
        assert status(b"X-API-Key: " + b"x" * 100_000) in (b"400", b"401", b"431")
        assert status(b"X-API-Key: " + b"x" * 5000) == b"401"
        assert status(b"Authorization: Bearer " + new_token().encode(), good) == b"401"
        assert status(good + b"\r\n folded") in (b"400", b"401")
        assert status(b"Authorization: Bearer x\rX-API-Key: " + token) in (b"400", b"401")
        assert status(b"Authorization : Bearer " + token) in (b"400", b"401")
        assert status(b"X_API_Key: " + token) == b"401"
        assert status(good) == b"200"

    log = serve(variables, tmp_path, look)
    (key,) = store.key_ring().keys
    assert (key.name, key.scopes) == ("first", ("admin",))
    assert TOKEN not in log
    assert "without one" not in log


def loaded(settings, **changes):
    return replace(settings, **changes)


def check(settings, store, caplog, **changes):
    """Check at the start; return what was logged."""
    caplog.clear()
    exposure.check(loaded(settings, **changes), store)
    return caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "yard.example"])
def test_addresses_that_others_reach_need_a_key(settings, store, caplog, host):
    """Or that somebody allows it; or that there was one at some time."""
    with pytest.raises(ConfigurationError, match="API_ALLOW_ANONYMOUS"):
        check(settings, store, caplog, api_host=host)

    said = check(settings, store, caplog, api_host=host, api_allow_anonymous=True)
    assert "whoever can reach it is served without one" in said
    store.add_key(new_key(TOKEN, name="ci", scopes=["admin"]), max_keys=10)
    assert check(settings, store, caplog, api_host=host) == ""
    store.revoke_keys([keys.token_id(TOKEN)])
    assert check(settings, store, caplog, api_host=host) == ""


def test_another_first_key_takes_the_place_of_the_one_before(settings, store, caplog):
    """Which is revoked; one that somebody revoked stays so, and it is said."""
    for token in (TOKEN, TOKEN, "x" * 40):
        check(settings, store, caplog, api_key=token)

    states = {key.id: key.revoked_at_ms is None for key in store.key_ring().keys}
    assert states == {keys.token_id(TOKEN): False, keys.token_id("x" * 40): True}
    assert "the key of API_KEY is revoked" in check(settings, store, caplog, api_key=TOKEN)


def test_a_first_key_that_is_lost_is_made_again(
    settings, dispatcher, store, client_of, monkeypatch
):
    """Such as with the store: nobody is let in meanwhile."""
    monkeypatch.setattr(keyring, "TTL_S", 0.1)
    api = client_of(loaded(settings, api_key=TOKEN), dispatcher)

    assert api.get("/v1/jobs").status_code == 401
    assert api.get("/v1/jobs", headers={"X-API-Key": TOKEN}).status_code == 200
    key_id = keys.token_id(TOKEN)
    store.revoke_keys([key_id])
    store.forget_keys([key_id])
    for _ in range(2):
        assert api.get("/v1/jobs").status_code == 401
        assert api.get("/v1/jobs", headers={"X-API-Key": TOKEN}).status_code == 200
    poll(
        lambda: [key.id for key in store.key_ring().keys] == [key_id] or api.get("/v1/jobs") is None
    )


def test_all_may_be_served_where_it_is_allowed(settings, dispatcher, store, client_of):
    """By the names of loopback; by others where they are named."""
    public = loaded(settings, api_host="0.0.0.0")
    assert client_of(public, dispatcher).get("/v1/jobs").status_code == 401

    allowed = loaded(public, api_allow_anonymous=True)
    assert client_of(allowed, dispatcher).get("/v1/jobs").status_code == 200
    named = {"Host": "yard.example:5000"}
    assert client_of(allowed, dispatcher).get("/v1/jobs", headers=named).status_code == 403
    its_own = {"Host": "10.1.2.3:5000"}
    single = loaded(allowed, api_host="10.1.2.3")
    assert client_of(single, dispatcher).get("/v1/jobs", headers=its_own).status_code == 200
    known = loaded(allowed, api_anonymous_hosts=("yard.example",))
    assert client_of(known, dispatcher).get("/v1/jobs", headers=named).status_code == 200


@pytest.mark.parametrize("content", ["", "short", "two words " * 10, "x" * 300, "\xff" * 40])
def test_a_file_that_holds_no_key_is_refused(tmp_path, content):
    """It is named; what is in it is not shown."""
    path = tmp_path / "secret"
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(ConfigurationError, match=r"API_KEY_FILE=.*secret") as caught:
        config.load(api_key_file=str(path))
    assert not content or content not in str(caught.value)


def test_first_keys_that_are_none_are_refused(tmp_path, monkeypatch):
    """A file that is not there, a key that can be guessed."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        config.load(api_key_file=str(tmp_path / "nothing"))
    monkeypatch.setenv("API_KEY", "guess-me")
    with pytest.raises(ConfigurationError, match=r"API_KEY=\*\*\*") as caught:
        config.load()
    assert "guess-me" not in str(caught.value)
    assert TOKEN not in repr(config.load(api_key=TOKEN))


def test_a_key_is_made_listed_and_revoked(run, store):
    """It is shown once; the list tells everything else of it."""
    code, out, err = run(
        "create", "ci", "--scope", "jobs:submit", "--scope", "jobs:read", "--task", "echo",
        "--queue", "q", "--rate", "100/m", "--expires", "30d",
    )  # fmt: skip
    assert code == 0
    assert re.fullmatch(r"ty_[0-9a-f]{12}_[0-9a-f]{64}\n", out)
    assert "not shown again" in err
    assert "it is the first" in err
    assert "it is valid until 20" in err
    key_id = keys.token_id(out.strip())

    shown = run("list")[1]
    assert out.strip() not in shown
    row = dict(zip(*(line.split() for line in shown.splitlines()), strict=True))
    assert row.pop("EXPIRES").startswith("20")
    assert row == {
        "KEY": key_id,
        "STATE": "active",
        "NAME": "ci",
        "SCOPES": "jobs:submit,jobs:read",
        "TASKS": "echo",
        "QUEUES": "q",
        "RATE": "100/m",
        "USED": "-",
    }
    (shown,) = json.loads(run("list", "-o", "json")[1])["items"]
    assert (shown["id"], shown["state"], shown["tasks"]) == (key_id, "active", ["echo"])

    assert (
        run("forget", "ci")[0],
        run("forget", "ci")[1].strip().split(" ", 2)[2],
    ) == (1, "is in use: revoke it first")
    assert run("revoke", "ci")[:2] == (2, "")
    code, out, err = run("revoke", "ci", "--yes")
    assert (code, out) == (0, f"{key_id} ci revoked\n")
    assert "no key is left" in err
    assert run("revoke", key_id)[0] == 1
    assert "revoked" in run("list")[1]
    assert run("forget", key_id, "--yes")[:2] == (0, f"{key_id} ci forgotten\n")
    assert run("list")[1] == ""


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["create", "ci"], 2, "needs a scope"),
        (["create", "c i", "--scope", "admin"], 2, "name 'c i'"),
        (["create", "ci", "--scope", "everything"], 2, "everything"),
        (["create", "ci", "--scope", "admin", "--queue", "q"], 2, "cannot be bound"),
        (["create", "ci", "--scope", "admin", "--expires", "soon"], 2, "like 90s, 10m"),
        (["create", "ci", "--scope", "admin", "--expires", "0d"], 2, "more than 0"),
        (["create", "ci", "--scope", "admin", "--rate", "often"], 2, "--rate 'often'"),
        (["create", "taken", "--scope", "admin"], 1, "is a key 'taken' already"),
        (["revoke", "nobody"], 3, "no key 'nobody'"),
        (["forget", "nobody"], 3, "no key 'nobody'"),
    ],
)
def test_what_is_wrong_is_said(run, store, args, code, told):
    """By text and exit code."""
    store.add_key(new_key(new_token(), name="taken", scopes=["admin"]), max_keys=10)

    status, out, err = run(*args)

    assert (code, "") == (status, out)
    assert told in err
