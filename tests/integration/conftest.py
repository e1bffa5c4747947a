"""What integration tests say often about queues."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pika
import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from taskyard.rabbitmq.topology import dead_queue
from tests.polling import poll

Taken = tuple[BasicProperties, bytes]
TakeAll = Callable[[str], list[Taken]]


@pytest.fixture
def bodies(channel: BlockingChannel) -> TakeAll:
    """A function that takes all ready messages from a queue, as (properties, body)."""

    def take(queue: str) -> list[Taken]:
        taken: list[Taken] = []
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None or properties is None or body is None:
                return taken
            taken.append((properties, body))

    return take


@pytest.fixture
def dead_letters(bodies: TakeAll) -> TakeAll:
    """A function that takes all dead letters of a queue."""
    return lambda queue: bodies(dead_queue(queue))


def _is_refused(channel: BlockingChannel, queue: str) -> bool:
    try:
        channel.basic_publish("", queue, b"filler")
    except pika.exceptions.NackError:
        return True
    return False


@pytest.fixture
def full(rabbit, broker_url):
    """A context in which a queue refuses messages, by a policy; it gives what empties the queue."""

    @contextmanager
    def fill(queue: str) -> Iterator[Callable[[], None]]:
        definition = {"max-length": 1, "overflow": "reject-publish"}
        rabbit.control(
            "set_policy", queue, f"^{queue}$", json.dumps(definition), "--apply-to", "queues"
        )

        def empty() -> None:
            channel.queue_purge(queue)  # first: what waits for it comes as soon as there is room
            rabbit.control("clear_policy", queue)

        with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            try:
                poll(lambda: _is_refused(channel, queue))
                yield empty
            finally:
                with suppress(subprocess.CalledProcessError):  # it was emptied
                    rabbit.control("clear_policy", queue)

    return fill
