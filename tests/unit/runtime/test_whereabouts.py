"""Which servers are meant is told without passwords, with what to do if they are others."""

import pytest

from taskyard import config
from taskyard.runtime import whereabouts

#: What is in a folder, and what a shell does there.
HERE = [
    (".run/env", "source ./.run/env"),
    ("deploy/addresses.sh", 'eval "$(deploy/addresses.sh)"'),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with nothing in it, and no address in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("BROKER_URL", "BROKER_URL_FILE", "RESULT_BACKEND", "RESULT_BACKEND_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:pass-word@one:6379/0", "redis://one:6379/0"),
        ("rediss://user:pass-word@one/1?password=pass-word", "rediss://one/1"),
        ("unix://user:pass-word@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_a_store_is_named_without_its_login(url, place):
    """In errors that programs log."""
    assert whereabouts.store_place(url) == place


def test_servers_of_the_user_are_told_with_their_variable(folder):
    """Whatever else is in the folder."""
    (folder / ".run").mkdir()
    (folder / ".run/env").touch()
    settings = config.load(broker_url="amqp://one", result_backend="redis://:x@two/0")

    assert whereabouts.remedy(settings, "broker_url") == "; BROKER_URL has its address"
    assert whereabouts.store_label(settings) == "redis://two/0 (key prefix 'taskyard:')"


@pytest.mark.parametrize(("path", "command"), HERE)
def test_where_others_may_be_meant_the_command_for_their_addresses_is_told(folder, path, command):
    """It is the one thing that was forgotten."""
    settings = config.load()
    assert whereabouts.remedy(settings, "broker_url") == "; that is the default of BROKER_URL"
    assert whereabouts.store_label(settings) == "redis://127.0.0.1:6379/0 (key prefix 'taskyard:')"

    (folder / path).parent.mkdir()
    (folder / path).touch()

    assert f"`{command}`" in whereabouts.remedy(settings, "broker_url")
    assert f"`{command}`" in whereabouts.store_label(settings)
