"""TLS to real servers: a job completes by it, and what is refused is named, by everything that connects."""

import os
import subprocess
import sys

import pytest

from taskyard import config
from taskyard.errors import BrokerUnavailable, StoreUnavailable, Unavailable
from taskyard.local_servers.ports import choose_port
from taskyard.rabbitmq import inspect
from taskyard.rabbitmq.dead_queue import walk
from taskyard.rabbitmq.inspect import DepthReader, QueueDepths
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.tls import Tls
from taskyard.store import open_store
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.secured import HOST, Authority
from tests.yard import CHECKOUT


@pytest.fixture(scope="module")
def tls(secured):
    """The certificates that fit the servers."""
    return config.load(**_settings(secured)).tls


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A CA that the servers have nothing of."""
    return Authority(tmp_path_factory.mktemp("stranger") / "ca")


def _settings(secured, **changed):
    env = {**secured.env("api"), "RESULT_BACKEND": secured.redis.url, **changed}
    return {name.lower(): value for name, value in env.items()}


def publish(url, tls):
    """Publish by the library's publisher."""
    publisher = Publisher(url, name="tls", tls=tls)
    publisher.start()
    try:
        poll(lambda: publisher.state != "not connected yet")  # else it waits for its deadline
        deadline_s = 5 if publisher.is_ready else 0.1
        publisher.publish([Outgoing(queue="test-tls", body=b"{}", id="1")], deadline_s=deadline_s)
    finally:
        publisher.close()


def measure(url, tls):
    """Read depths as the scheduler does, once it was tried to connect."""
    depths = QueueDepths(url, tls=tls)
    depths.start()

    def read():
        try:
            return depths.read(["taskyard.intake"], deadline_s=30)
        except BrokerUnavailable as error:
            if "not connected yet" in str(error):
                return None
            raise

    try:
        return poll(read)
    finally:
        depths.close()


def peek(url, tls):
    """Ask for a queue's depth as the verification does."""
    return DepthReader(url, tls=tls).depths(["taskyard.intake"])


def walk_dead_letters(url, tls):
    """Walk as the scheduler does."""
    return walk(url, "none", lambda _: False, tls=tls)


def look(url, tls):
    """Look as `explain` does, which tells an error as a state."""
    state = inspect.probe(url, tls=tls)
    if state.kind != "ready":
        raise BrokerUnavailable(state.detail)


WAYS = [look, publish, measure, peek, walk_dead_letters]


def test_a_job_completes_by_tls(secured_yard):
    """From this client over worker and scheduler, all by amqps and rediss."""
    assert secured_yard.submit(tasks.add, 42).get(timeout=30) == 42
    late = secured_yard.submit(tasks.add, 2, delay_s=0.05)
    assert late.get(timeout=30) == 2


@pytest.mark.parametrize("way", WAYS)
def test_whatever_connects_does_it_by_tls(secured, secured_yard, tls, way):
    """The scheduler's user may do all of it."""
    way(secured.rabbit.url_of("scheduler"), tls)


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_a_strange_ca_is_refused(secured, stranger, way):
    """The error says why, and what names the CAs."""
    url = secured.rabbit.url_of("scheduler")

    with pytest.raises(BrokerUnavailable) as caught:
        way(url, Tls(ca_file=str(stranger.ca.cert)))

    assert "TLS: the server's certificate is refused: " in str(caught.value)
    assert "TLS_CA_FILE" in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_of_another_host_is_refused(secured, tls, way):
    """The error names the host that was asked for."""
    url = secured.rabbit.url_of("scheduler", host="127.0.0.1")

    with pytest.raises(BrokerUnavailable, match=r"mismatch.*127\.0\.0\.1.*connect by a name"):
        way(url, tls)


def test_without_settings_nothing_is_trusted_that_the_system_does_not(secured):
    """A URL alone is verified too."""
    with pytest.raises(BrokerUnavailable, match="certificate is refused"):
        DepthReader(secured.rabbit.url_of("scheduler")).depths(["any"])


def test_verification_cannot_be_turned_off_in_a_url(secured, stranger):
    """Not even where the settings do not see the URL."""
    options = {"cafile": str(secured.authority.ca.cert), "verify_mode": 0, "check_hostname": False}
    url = f"{secured.rabbit.url_of('scheduler')}?ssl_options={options}"

    with pytest.raises(BrokerUnavailable, match="certificate is refused"):
        DepthReader(url, tls=Tls(ca_file=str(stranger.ca.cert))).depths(["any"])


def refusal_of(call):
    """Return why a call failed, as it always does; now and then the server's reset overtakes its reason."""
    with pytest.raises(Unavailable) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_rabbitmq_does_not_know_is_told_so(secured, stranger, way):
    """It shows its certificate, but one of a strange CA."""
    mine = stranger.issue("client")
    tls = Tls(str(secured.authority.ca.cert), str(mine.cert), str(mine.key))

    url = secured.rabbit.url_of("scheduler")
    poll(lambda: "TLS_CERT_FILE names the one to show" in refusal_of(lambda: way(url, tls)))


def test_rabbitmq_may_want_no_certificate(secured):
    """Then the CA is enough."""
    ca = Tls(ca_file=str(secured.authority.ca.cert))

    assert list(peek(secured.rabbit.url_of("scheduler"), ca)) == ["taskyard.intake"]


def test_a_client_without_a_certificate_is_told_so(secured):
    """Where the server, here the store, wants one."""
    changed = {"TLS_CERT_FILE": "", "TLS_KEY_FILE": ""}
    store = open_store(config.load(**_settings(secured, **changed)))

    poll(lambda: "TLS_CERT_FILE names the one to show" in refusal_of(store.ping))

    store.close()


def test_a_port_without_tls_is_told(secured, tls):
    """Of a URL with an s too many."""
    url = f"amqps://x:x@{HOST}:{secured.rabbit.port}/"

    with pytest.raises(BrokerUnavailable, match="TLS: the server does not speak it on this port"):
        peek(url, tls)


def test_the_store_answers_by_tls(secured):
    """To a client that shows its certificate."""
    store = open_store(config.load(**_settings(secured)))

    store.ping()

    store.close()


@pytest.mark.parametrize(
    ("host", "ca", "told"),
    [
        (HOST, "stranger", "certificate is refused: .*TLS_CA_FILE"),
        ("127.0.0.1", "secured", r"mismatch.*127\.0\.0\.1.*connect by a name"),
    ],
)
def test_a_store_that_is_not_the_one_meant_is_refused(secured, stranger, host, ca, told):
    """By its CA, and by its name."""
    authority = stranger if ca == "stranger" else secured.authority
    changed = {
        "TLS_CA_FILE": str(authority.ca.cert),
        "RESULT_BACKEND": secured.redis.url_of(host),
    }
    store = open_store(config.load(**_settings(secured, **changed)))

    with pytest.raises(StoreUnavailable, match=told):
        store.ping()

    store.close()


def run(*argv, **env):
    """Run a program to its end."""
    env = {"PATH": os.environ["PATH"], "LOG_FORMAT": "json", **env}
    return subprocess.run(
        argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_line_verifies_by_tls(secured, secured_yard):
    """It connects to both servers, with a look into the queues."""
    env = {**secured_yard.env, **secured.env("api")}

    done = run(sys.executable, "-c", "from taskyard.cli import main; main()", "verify", **env)

    assert (done.returncode, done.stderr) == (0, "")
    assert "every job is accounted for" in done.stdout


def test_a_service_says_at_the_start_which_file_is_wrong(secured):
    """It does not begin to connect."""
    env = {**secured.env("scheduler"), "TLS_CA_FILE": "/nowhere/ca.pem"}

    done = run(sys.executable, "-m", "services.scheduler", METRICS_PORT=str(choose_port()), **env)

    assert done.returncode == 2
    assert "TLS_CA_FILE='/nowhere/ca.pem': /nowhere/ca.pem cannot be read" in done.stderr
