"""One setting that names several hosts of RabbitMQ."""

import pytest

from taskyard import config
from taskyard.errors import ConfigurationError
from taskyard.runtime import broker_hosts
from taskyard.runtime.broker_hosts import Hosts


@pytest.mark.parametrize(
    ("broker_url", "urls"),
    [
        ("amqp://u:p@one:1/v", ["amqp://u:p@one:1/v"]),
        ("amqp://one", ["amqp://one"]),
        ("amqp://u:p@one,two:2/v?x=1,2", ["amqp://u:p@one/v?x=1,2", "amqp://u:p@two:2/v?x=1,2"]),
        ("amqps://u:p,w;x@[::1]:1,[::2]/", ["amqps://u:p,w;x@[::1]:1/", "amqps://u:p,w;x@[::2]/"]),
        ("amqp://u:p@one/;amqp://x:y@two/", ["amqp://u:p@one/", "amqp://x:y@two/"]),
    ],
)
def test_each_host_has_a_url(broker_url, urls):
    """Of hosts with one login, as of whole URLs; a comma or semicolon in a password is none between them."""
    assert broker_hosts.urls(broker_url) == urls
    assert config.load(broker_url=broker_url).broker_url == broker_url


@pytest.mark.parametrize(
    ("broker_url", "fault"),
    [
        ("amqp://u:pass-word@one,/", "a host is missing beside a comma"),
        ("amqp://u:pass-word@one two/", "a host has a space in it"),
        ("amqp://u:pass-word@one,two:x/", "must be a URL with a host and a port"),
        ("amqp://u:pass-word@one,two,one/", "a host is named twice"),
        ("amqp://u:pass-word@one/a;amqp://two/b", "all hosts must be of one virtual host"),
        ("amqp://u:pass-word@one/;amqps://two/", "all hosts must be of amqp:// or all of amqps://"),
        ("amqp://u:pass-word@one/;two/", "; stands between whole URLs"),
        ("amqps://u:pass-word@one/;amqps://two/?ssl_options={}", "ssl_options in the URL"),
    ],
)
def test_hosts_that_cannot_be_one_cluster_are_refused(broker_url, fault):
    """In words, and without a password."""
    with pytest.raises(ConfigurationError, match=f"^BROKER_URL=.*{fault}") as caught:
        config.load(broker_url=broker_url)

    assert "pass-word" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize(
    "broker_url",
    [
        "amqp://u:p@one, two:2/v",
        "amqp://u:p@ one ,two:2 /v",
        "amqp://u:p@one/v ; amqp://u:p@two:2/v",
    ],
)
def test_spaces_beside_what_is_between_hosts_do_not_count(broker_url):
    """As in every other list."""
    assert broker_hosts.urls(broker_url) == ["amqp://u:p@one/v", "amqp://u:p@two:2/v"]
    assert config.load(broker_url=broker_url).broker_url == broker_url


def test_a_place_is_shown_without_its_login():
    """In logs and errors, for which host it was."""
    assert broker_hosts.place("amqp://user:pass-word@one:5673/vhost") == "one:5673"
    assert broker_hosts.place("amqps://user:pass-word@[::1]/vhost") == "[::1]:5671"
    assert broker_hosts.places("amqp://user:pass-word@one,two:2/") == "one:5672,two:2"


def test_hosts_are_gone_round():
    """Each has its turn before one comes again."""
    hosts = Hosts("amqp://one,two,three/")
    turns = []
    for _ in range(6):
        turns.append(hosts.url)
        hosts.move_on()

    assert turns[:3] == turns[3:]
    assert sorted(turns[:3]) == ["amqp://one/", "amqp://three/", "amqp://two/"]


def test_clients_spread_over_the_hosts():
    """Else all would be at the first one."""
    firsts = {Hosts("amqp://one,two,three/").url for _ in range(200)}

    assert len(firsts) == 3


def test_each_host_has_a_try_in_a_round():
    """Whichever it begins with."""
    hosts = Hosts("amqp://one,two/")
    untried = [hosts.untried]
    for happens in (hosts.move_on, hosts.move_on, hosts.begin_round, hosts.move_on):
        happens()
        untried.append(hosts.untried)

    assert untried == [2, 1, 0, 2, 1]
