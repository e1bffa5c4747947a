"""RabbitMQ at several addresses, of which most lead nowhere."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from taskyard.rabbitmq import dead_queue, inspect
from taskyard.rabbitmq.connect_once import greeting
from taskyard.rabbitmq.inspect import DepthReader, QueueDepths
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.queue_move import QueueMove
from taskyard.runtime.tls import SYSTEM_CAS
from tests import worker_tasks as tasks
from tests.polling import poll

#: With so many others, one that leads nowhere comes first nearly always.
NOWHERE = ",".join(f"127.0.0.1:{port}" for port in range(1, 10))


def beside(rabbit, *others):
    """Return an address of RabbitMQ among others."""
    return f"amqp://guest:guest@{','.join([*others, f'127.0.0.1:{rabbit.port}'])}/"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a host that takes connections and says nothing, as one that is frozen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def depths(url, queue):
    """Read depths as the scheduler does."""
    depths = QueueDepths(url)
    depths.start()
    try:
        poll(lambda: depths.is_ready)
        return depths.read([queue], deadline_s=10)
    finally:
        depths.close()


WAYS = {
    "look": lambda url, _: inspect.probe(url).kind,
    "walk": lambda url, queue: dead_queue.walk(url, queue, lambda _: False),
    "peek": lambda url, queue: DepthReader(url).depths([queue]),
    "depths": lambda url, queue: len(depths(url, queue)),
    "greeting": lambda url, _: greeting(url, name="test", tls=SYSTEM_CAS).properties["product"],
    "move": lambda url, queue: [
        each.messages for each in QueueMove(url, queue_type="auto").move(queue)
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_connects_finds_the_host_that_is_there(rabbit, queue, way):
    """One that refuses costs nothing."""
    expected = WAYS[way](rabbit.url, queue)

    assert WAYS[way](beside(rabbit, NOWHERE), queue) == expected


def test_a_frozen_host_costs_less_than_a_deadline(rabbit, queue, silent):
    """So a submission that meets it first is not refused for it."""
    with ExitStack() as stack:
        for _ in range(4):  # half of them meet it first
            publisher = Publisher(beside(rabbit, silent), name="test")
            stack.callback(publisher.close)
            publisher.publish([Outgoing(queue=queue, body=b"{}", id="1")], deadline_s=5)


@pytest.mark.slow
def test_a_host_that_falls_silent_is_left_for_another(rabbit, queue, links):
    """Within seconds, and not while it only blocks publishers."""
    ways = {name: f"127.0.0.1:{links.open(name, rabbit.port)}" for name in ("one", "two")}
    publisher = Publisher(f"amqp://guest:guest@{ways['one']},{ways['two']}/", name="test")
    message = Outgoing(queue=queue, body=b"{}", id="1")
    try:
        publisher.publish([message], deadline_s=30)
        (used,) = [name for name in ways if links.is_used(name)]

        links.set_mode(used, "hole")
        assert publisher.publish_each([message], deadline_s=1, is_whole=True)
        poll(lambda: not publisher.publish_each([message], deadline_s=1, is_whole=True), 12)

        (other,) = [name for name in ways if name != used]
        assert links.is_used(other)
    finally:
        publisher.close()


@pytest.mark.slow
def test_a_host_in_an_alarm_is_not_left(rabbit, queue, links):
    """All hosts of a cluster block publishers together; heartbeats come all the while."""
    ways = {name: f"127.0.0.1:{links.open(name, rabbit.port)}" for name in ("one", "two")}
    publisher = Publisher(f"amqp://guest:guest@{ways['one']},{ways['two']}/", name="test")
    message = Outgoing(queue=queue, body=b"{}", id="1")
    try:
        publisher.publish([message], deadline_s=30)
        used = [name for name in ways if links.is_used(name)]
        rabbit.control("set_vm_memory_high_watermark", "0.00001")
        try:
            failed = publisher.publish_each([message], deadline_s=11, is_whole=True)

            assert "alarm" in str(failed[0].error)
            assert [name for name in ways if links.is_used(name)] == used
        finally:
            rabbit.control("set_vm_memory_high_watermark", "0.4")
        publisher.publish([message], deadline_s=30)
    finally:
        publisher.close()


def test_a_system_with_several_hosts_runs_jobs(make_yard, rabbit):
    """Every service finds the one that is there."""
    yard = make_yard()
    services = [
        make(BROKER_URL=beside(rabbit, NOWHERE)) for make in (yard.worker, yard.scheduler, yard.api)
    ]
    with yard.running(*services):
        assert yard.submit(tasks.add, 1, 2, delay_s=0.1).get(timeout=30) == 3
