"""Real servers for the tests: a private RabbitMQ and Redis a session, a fresh corner of both a test.

RABBITMQ_SERVER and REDIS_SERVER, the paths of programs, choose others than the installed ones.
"""

import uuid
from collections.abc import Iterator

import pika
import pytest
import redis
from pika.adapters.blocking_connection import BlockingChannel

from taskyard import config
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.local_servers import RabbitServer, RedisServer
from taskyard.local_servers.programs import (
    RABBITMQ_PACKAGE,
    REDIS_PACKAGE,
    rabbitmq_version,
    redis_version,
)
from taskyard.rabbitmq.connect_once import greeting
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import dead_queue, server_version
from taskyard.runtime.tls import SYSTEM_CAS
from taskyard.store import JobStore, open_store
from tests.nemesis.links import Links
from tools.install_packages import (
    ensure_installed,
)

pytest_plugins = ["tests.parallel", "tests.yard", "tests.secured"]

#: Lines of captured output that the report of a failed test shows.
SHOWN_LINES = 60


def pytest_report_header() -> str:
    """Say at the head of a run which servers it is about."""
    return f"servers: RabbitMQ {rabbitmq_version()}, Redis {redis_version()}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of what was captured: services log enough to hide every other failure."""
    report = yield
    report.sections = [(title, _end(text)) for title, text in report.sections]
    return report


def _end(text: str) -> str:
    lines = text.splitlines(keepends=True)
    left_out = len(lines) - SHOWN_LINES
    return text if left_out <= 0 else f"({left_out} lines before)\n" + "".join(lines[-SHOWN_LINES:])


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory) -> Iterator[RabbitServer]:
    """A private RabbitMQ that a test may stop, block and restart, if it leaves it in good order."""
    ensure_installed([RABBITMQ_PACKAGE])
    server = RabbitServer(tmp_path_factory.mktemp("rabbit"))
    with server:
        yield server
        server.kill()  # nobody will read its data again, and a stop takes seconds


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """A private Redis."""
    ensure_installed([REDIS_PACKAGE])
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def version(broker_url) -> tuple[int, int]:
    """The version of RabbitMQ, which the arguments of queues depend on."""
    return server_version(greeting(broker_url, name="test", tls=SYSTEM_CAS).properties)


@pytest.fixture(scope="session")
def broker_url(rabbit) -> str:
    """The RabbitMQ of the tests."""
    return rabbit.url


@pytest.fixture(scope="session")
def result_backend(redis_server) -> str:
    """The Redis of the tests."""
    return redis_server.url


@pytest.fixture
def key_prefix(result_backend) -> Iterator[str]:
    """A prefix of this test's own; what it keeps is removed."""
    prefix = f"test-{uuid.uuid4().hex[:12]}:"
    yield prefix
    with redis.Redis.from_url(result_backend) as client:
        keys = list(client.scan_iter(f"{prefix}*", count=10_000))
        for start in range(0, len(keys), 10_000):
            client.delete(*keys[start : start + 10_000])


@pytest.fixture
def settings(broker_url, result_backend, key_prefix) -> Settings:
    """Settings for the servers, with short times."""
    return config.load(
        broker_url=broker_url,
        result_backend=result_backend,
        key_prefix=key_prefix,
        publish_deadline_s=30,
        lease_s=2,
        heartbeat_s=0.2,
        relay_after_s=0.5,
        retry_min_s=0.05,
        retry_max_s=0.2,
        metrics_port=0,
    )


@pytest.fixture
def store(settings) -> Iterator[JobStore]:
    """A store that is empty."""
    store = open_store(settings)
    yield store
    store.close()


@pytest.fixture
def publisher(settings) -> Iterator[Publisher]:
    """A publisher, not connected until it is used."""
    publisher = Publisher(settings.broker_url, name="test")
    yield publisher
    publisher.close()


@pytest.fixture
def dispatcher(settings, store, publisher) -> Iterator[Dispatcher]:
    """A dispatcher over `store` and `publisher`."""
    dispatcher = Dispatcher(store, publisher, publish_deadline_s=settings.publish_deadline_s)
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def links() -> Iterator[Links]:
    """Ways to the servers that can be broken."""
    links = Links()
    links.start()
    yield links
    links.stop()


@pytest.fixture
def channel(broker_url) -> Iterator[BlockingChannel]:
    """A channel of the test's own, to look at queues with."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        yield connection.channel()


@pytest.fixture
def queue(broker_url) -> Iterator[str]:
    """The name of a queue that does not exist yet; it is deleted afterwards, with its dead letters."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        for each in (name, dead_queue(name)):
            channel.queue_delete(each)
