"""What integration tests say often about queues."""

from collections.abc import Callable

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from taskyard.rabbitmq.topology import dead_queue

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
