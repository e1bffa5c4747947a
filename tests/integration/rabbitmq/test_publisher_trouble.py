"""Publishing while the broker is in trouble: blocked, restarted, frozen, or cutting connections."""

import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pika
import pytest

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import dead_queue
from tests.polling import poll


def message(queue: str, number: int = 0, **fields) -> Outgoing:
    return Outgoing(queue=queue, body=b"{}", **{"id": f"id-{number}", **fields})


@pytest.fixture
def alarm(rabbit):
    """A function that makes the broker block every publisher, or lets them go on."""

    def switch(is_on: bool) -> None:
        rabbit.control("set_vm_memory_high_watermark", "0.00001" if is_on else "0.4")

    yield switch
    switch(False)


@pytest.fixture
def trouble_publisher(rabbit):
    """A publisher on the broker that gets into trouble."""
    publisher = Publisher(rabbit.url, name="trouble")
    yield publisher
    publisher.close()


@pytest.fixture
def trouble_queue(rabbit):
    """A queue on the broker that gets into trouble."""
    name = f"trouble-{time.monotonic_ns()}"
    yield name
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        for each in (name, dead_queue(name)):
            connection.channel().queue_delete(each)


def take_ids(rabbit, queue: str) -> list[str | None]:
    """Return the ids of all messages in a queue, over a connection of their own."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.url)) as connection:
        channel = connection.channel()
        taken: list[str | None] = []
        while True:
            _, properties, _ = channel.basic_get(queue, auto_ack=True)
            if properties is None:
                return taken
            taken.append(properties.message_id)


def accepted_before_the_alarm(publisher: Publisher, queue: str) -> set[str]:
    """Publish until the broker has told of its alarm, which it tells who publishes only.

    Returns the ids of what it may have taken before.
    """
    sent: set[str] = set()

    def is_refused() -> bool:
        sent.add(f"id-{1000 + len(sent)}")
        try:
            publisher.publish([message(queue, 999 + len(sent))], deadline_s=0.5)
        except BrokerUnavailable:
            return True
        return False

    poll(is_refused)
    return sent


def test_a_blocked_broker_fails_calls_within_their_deadlines(
    rabbit, trouble_publisher, trouble_queue, alarm
):
    """Of sixteen threads each; and what was given up is not published when the alarm is over."""
    publisher, queue = trouble_publisher, trouble_queue
    publisher.publish([message(queue)], deadline_s=30)
    alarm(True)

    def publish(number: int) -> float:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            publisher.publish([message(queue, number)], deadline_s=0.5)
        return time.monotonic() - started

    before = accepted_before_the_alarm(publisher, queue)
    assert poll(lambda: not publisher.is_ready)
    with ThreadPoolExecutor(16) as pool:
        took_s = list(pool.map(publish, range(2, 18)))
    assert max(took_s) < 15  # the alarm lasts until the test ends it
    assert "alarm" in publisher.state
    alarm(False)

    poll(lambda: publisher.is_ready)
    publisher.publish([message(queue, 99)], deadline_s=30)
    published = set(take_ids(rabbit, queue))
    assert {"id-0", "id-99"} <= published
    assert published <= {"id-0", "id-99"} | before


def test_a_call_that_waits_for_the_end_of_an_alarm_is_published(
    rabbit, trouble_publisher, trouble_queue, alarm
):
    """If its deadline allows."""
    publisher, queue = trouble_publisher, trouble_queue
    publisher.publish([message(queue)], deadline_s=30)
    alarm(True)
    accepted_before_the_alarm(publisher, queue)
    poll(lambda: not publisher.is_ready)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(publisher.publish, [message(queue, 2)], deadline_s=30)
        alarm(False)
        waiting.result()

    assert "id-2" in take_ids(rabbit, queue)


def test_a_restarted_broker_is_published_to_again(rabbit, trouble_publisher, trouble_queue):
    """Calls meanwhile fail within their deadlines; confirmed messages are still there."""
    publisher, queue = trouble_publisher, trouble_queue
    publisher.publish([message(queue, 1)], deadline_s=30)
    rabbit.stop()

    with pytest.raises(BrokerUnavailable):
        publisher.publish([message(queue, 2)], deadline_s=0.5)
    rabbit.start()
    rabbit.wait_ready()
    poll(lambda: publisher.is_ready)
    publisher.publish([message(queue, 3)], deadline_s=30)

    assert take_ids(rabbit, queue) == ["id-1", "id-3"]


def test_a_broker_that_freezes_is_given_up(rabbit, trouble_publisher, trouble_queue):
    """A call fails within its deadline although the connection looks alive."""
    publisher, queue = trouble_publisher, trouble_queue
    publisher.publish([message(queue, 1)], deadline_s=30)
    rabbit.pause()
    started = time.monotonic()
    try:
        with pytest.raises(BrokerUnavailable, match="confirm"):
            publisher.publish([message(queue, 2)], deadline_s=0.5)
        assert time.monotonic() - started < 15  # it stays frozen until the test lets it go on
    finally:
        rabbit.resume()

    publisher.publish([message(queue, 3)], deadline_s=30)


def test_connections_that_are_cut_lose_no_confirmed_message(
    rabbit, trouble_publisher, trouble_queue
):
    """While the broker closes the connection again and again, what was confirmed is there."""
    publisher, queue = trouble_publisher, trouble_queue
    publisher.publish([message(queue, 0)], deadline_s=30)
    confirmed, stopping = {"id-0"}, threading.Event()

    def publish() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            try:
                publisher.publish([message(queue, number)], deadline_s=5)
            except BrokerUnavailable:
                continue
            confirmed.add(f"id-{number}")

    thread = threading.Thread(target=publish)
    thread.start()
    for _ in range(3):
        enough = len(confirmed) + 20
        rabbit.control("close_all_connections", "test")
        poll(partial(_has, confirmed, enough))
    stopping.set()
    thread.join(30)

    assert confirmed <= set(take_ids(rabbit, queue))


def _has(things: set[str], count: int) -> bool:
    return len(things) >= count


def test_control_commands_work(rabbit):
    """The tests above rest on them."""
    assert isinstance(rabbit.control("list_queues", "name"), str)
    with pytest.raises(subprocess.CalledProcessError):
        rabbit.control("no_such_command")
