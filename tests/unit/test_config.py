"""The settings, and that the documents say what they are."""

import difflib
from pathlib import Path

import pytest

from taskyard import config, config_reading
from taskyard.config import FIELDS, Settings
from taskyard.errors import ConfigurationError
from taskyard.store import open_store
from tools import configdoc

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)


def test_every_setting_has_a_default():
    """Nothing needs to be set."""
    assert config.load().key_prefix == "taskyard:"


def test_the_environment_sets_them(monkeypatch):
    """In capitals; an empty value counts as not set."""
    monkeypatch.setenv("MAX_RETRIES", "7")
    monkeypatch.setenv("TASK_TIMEOUT", "1.5")
    monkeypatch.setenv("TASK_MODULES", "a, b.c,")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("API_PORT", "")

    settings = config.load()

    assert (
        settings.max_retries,
        settings.task_timeout,
        settings.task_modules,
        settings.log_level,
        settings.api_port,
    ) == (7, 1.5, ("a", "b.c"), "debug", 5000)


def test_arguments_win_over_the_environment(monkeypatch):
    """What a program says itself counts most."""
    monkeypatch.setenv("MAX_RETRIES", "7")

    assert config.load(max_retries=1).max_retries == 1


def test_all_faults_come_in_one_message(monkeypatch):
    """Each with its name, value and what is accepted; those of two settings together among them."""
    monkeypatch.setenv("MAX_RETRIES", "-1")
    monkeypatch.setenv("TASK_TIMEOUT", "soon")
    monkeypatch.setenv("QUEUE_TYPE", "fast")
    monkeypatch.setenv("RETRY_MIN_S", "10")
    monkeypatch.setenv("RETRY_MAX_S", "5")
    monkeypatch.setenv("HEARTBEAT_S", "10")

    with pytest.raises(ConfigurationError) as caught:
        config.load()

    lines = str(caught.value).splitlines()
    assert sorted(line.partition("=")[0] for line in lines) == [
        "HEARTBEAT_S",
        "MAX_RETRIES",
        "QUEUE_TYPE",
        "RETRY_MAX_S",
        "TASK_TIMEOUT",
    ]
    assert any("'soon'" in line for line in lines)
    assert any("RETRY_MIN_S=10" in line for line in lines)


@pytest.mark.parametrize("name", ["BROKER_URL", "RESULT_BACKEND"])
def test_a_bad_address_is_not_shown(monkeypatch, name):
    """It may hold a password."""
    monkeypatch.setenv(name, "http://user:secret@host")

    with pytest.raises(ConfigurationError, match=name) as caught:
        config.load()

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
@pytest.mark.parametrize(
    "name", [name for name, field in FIELDS.items() if field.type.__origin__ is float]
)
def test_times_are_finite(monkeypatch, name, value):
    """A wait must end."""
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(ConfigurationError, match=name.upper()):
        config.load()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("MAX_RETRIES", "+5", 5),
        ("API_PORT", "0500", 500),
        ("RESULT_TTL", "86_400", 86400),
        ("MAX_RETRIES", "5.0", 5),
        ("RETRY_MIN_S", ".5", 0.5),
        ("RETRY_MIN_S", "5.", 5.0),
        ("RETRY_MIN_S", "05", 5.0),
        ("AUTO_REPAIR", "N", False),
        ("API_METRICS_OPEN", "t", True),
    ],
)
def test_numbers_and_words_may_be_as_people_write_them(name, text, value, monkeypatch):
    """JSON has them in one form only."""
    monkeypatch.setenv(name, text)

    assert getattr(config.load(), name.lower()) == value


@pytest.mark.parametrize("text", ["1__0", "_1", "0x10", "5s", "1,000", "\u0665", "5.5", "."])
def test_what_is_no_whole_number_is_refused(text, monkeypatch):
    """With what is accepted."""
    monkeypatch.setenv("MAX_RETRIES", text)

    with pytest.raises(ConfigurationError, match="must be a whole number, 0 or more, at most 1000"):
        config.load()


def test_an_unknown_name_is_refused():
    """A typing mistake in `configure()` is not passed over."""
    with pytest.raises(ConfigurationError, match="BROKERURL"):
        config.load(brokerurl="amqp://host/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [(configdoc.ENV_FILE, configdoc.env_example()), (configdoc.PAGE, configdoc.page())],
    ids=["env_example", "page"],
)
def test_the_documents_say_what_the_settings_are(path, expected):
    """Each setting with its default, unit and meaning."""
    told = (ROOT / path).read_text()

    difference = "\n".join(
        difflib.unified_diff(told.splitlines(), expected.splitlines(), lineterm="")
    )
    assert not difference, f"{path} is out of date, run `python -m tools.configdoc`:\n{difference}"


def test_the_example_sets_the_defaults(monkeypatch):
    """Every setting is in it, and uncommenting all of it changes nothing."""
    lines = [
        line[1:]
        for line in configdoc.env_example().splitlines()
        if line[:1] == "#" and line[1:2] != " "
    ]
    values = dict(line.split("=", 1) for line in lines if line)
    assert {name.upper() for name in FIELDS} == set(values)
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    assert Settings() == config.load()


def test_writing_the_documents_twice_changes_nothing(tmp_path):
    """The second time there is nothing to do."""
    assert len(configdoc.write(tmp_path)) == 2
    assert configdoc.write(tmp_path) == []


@pytest.mark.parametrize(
    "env",
    [
        {"BROKER_URL": "amqp://user:pass-word/x@127.0.0.1:5672/"},
        {"RESULT_BACKEND": "redis://user:pass-word/x@127.0.0.1/0"},
        {"RESULT_BACKEND": "redis://user:pass-word@[x@127.0.0.1/0"},
        {"BROKER_URL": "http://user:pass-word@127.0.0.1/"},
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(env, monkeypatch):
    """Where it is used, libraries would quote a part of it: a slash ends the host for them."""
    ((name, value),) = env.items()
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as raised:
        config.load()

    assert f"{name}=***" in str(raised.value)
    assert "pass" not in f"{raised.value}{raised.value.__cause__}".replace("password", "")


SECRETS = {
    "broker_url": "amqp://user:pass-word@127.0.0.1/x",
    "result_backend": "redis://:pass-word@127.0.0.1/1",
    "api_key": "pass-word" * 4,
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_comes_from_a_file(name, monkeypatch, tmp_path):
    """Without the end of its line, whether the environment or the program names the file."""
    path = tmp_path / "secret"
    path.write_text(f"{SECRETS[name]}\n")

    assert SECRETS[name] == getattr(config.load(**{f"{name}_file": str(path)}), name)
    monkeypatch.setenv(f"{name.upper()}_FILE", str(path))
    assert SECRETS[name] == getattr(config.load(), name)


def test_every_secret_can_come_from_a_file():
    """And is read after the setting that names its file."""
    names = list(FIELDS)

    assert list(config_reading.SECRETS) == list(SECRETS)
    for name in SECRETS:
        assert names.index(f"{name}_file") < names.index(name)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff", "holds no text"),
        (b"pass-word", "must be "),
    ],
)
def test_a_file_that_holds_no_such_secret_is_refused(name, content, fault, tmp_path):
    """It is named, beside the other faults; what is in it is not shown."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        config.load(max_retries=-1, **{f"{name}_file": str(path)})

    lines = sorted(str(caught.value).splitlines())
    assert sorted((line.split()[0].rstrip(":") for line in lines), key=len) == [
        "MAX_RETRIES=-1",
        f"{name.upper()}_FILE={str(path)!r}",
    ]
    assert any(fault in line for line in lines)
    assert "pass-word" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_and_its_file_are_not_both_set(name, monkeypatch):
    """Nobody could tell which of them holds."""
    monkeypatch.setenv(name.upper(), SECRETS[name])
    monkeypatch.setenv(f"{name.upper()}_FILE", "/nowhere")

    with pytest.raises(ConfigurationError, match=f"{name.upper()}_FILE is set too") as caught:
        config.load()

    assert "pass-word" not in str(caught.value)


def test_a_program_decides_whether_a_secret_is_in_a_file(monkeypatch, tmp_path):
    """Its own word counts more than either form in the environment."""
    url, path = SECRETS["broker_url"], tmp_path / "secret"
    path.write_text(url)
    monkeypatch.setenv("BROKER_URL_FILE", "/nowhere")
    assert config.load(broker_url=url).broker_url == url

    monkeypatch.delenv("BROKER_URL_FILE")
    monkeypatch.setenv("BROKER_URL", "amqp://another/")
    assert config.load(broker_url_file=str(path)).broker_url == url


@pytest.mark.parametrize("name", ["api_anonymous_hosts", "metrics_hosts"])
def test_hosts_are_compared_as_requests_name_them(name):
    """In lower case, without brackets."""
    settings = config.load(**{name: "Jobs.Example, [FD00::1],10.0.0.1,*"})

    assert getattr(settings, name) == ("jobs.example", "fd00::1", "10.0.0.1", "*")
    for never_named in ("worker:9100", "http://worker", "[::1]:9100", "a b"):
        with pytest.raises(ConfigurationError, match="without scheme and port"):
            config.load(**{name: never_named})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("dead_letter_max_bytes", 262_144, "PAYLOAD_MAX_BYTES=262144 and 1024 more"),
        ("dead_letter_queue_bytes", "9000000,emails=4194303", "DEAD_LETTER_MAX_BYTES=4194304"),
        ("reply_queue_prefix", "amq.gen-", "begin with 'amq.'"),
        ("reply_queue_prefix", "task", "begin with 'taskyard.'"),
        ("reply_queue_prefix", "a b", "must be 2 to 100 letters"),
    ],
)
def test_bounds_that_do_not_fit_are_refused(name, value, text):
    """What a job is kept in has room for it, and no prefix makes room for others' queues."""
    with pytest.raises(ConfigurationError, match=text) as error:
        config.load(**{name: value})
    assert name.upper() in str(error.value)


@pytest.mark.parametrize(
    ("query", "name"), [("pw=pass-word", "'pw'"), ("socket_timeout=pass-word", "'socket_timeout'")]
)
def test_an_option_that_the_client_of_redis_does_not_know_is_refused(query, name):
    """Before anything is asked of it, and without its value."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        open_store(config.load(result_backend=f"redis://127.0.0.1/0?{query}"))

    assert "pass-word" not in str(caught.value)
