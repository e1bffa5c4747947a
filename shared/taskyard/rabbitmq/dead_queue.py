"""Reading a dead-letter queue in RabbitMQ from end to end, and taking single messages out of it.

AMQP has no way to look into a queue: all its messages are delivered unacknowledged, the wanted ones are
acknowledged, and closing the channel puts the others back into their places. That costs about 75 µs and one
transfer a message, so walks should be few.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika
from msgspec import Struct
from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.connection import HEARTBEAT_S, describe
from taskyard.rabbitmq.properties import received_text
from taskyard.rabbitmq.topology import LOCKED, dead_queue, lock
from taskyard.runtime.tls import SYSTEM_CAS, Tls

#: A walk is given up when RabbitMQ has delivered nothing for so long, in seconds. It may take five for one
#: message, whose headers are tables 20,000 deep.
SILENCE_S = 30.0
#: Above it AMQP has no number for "so many unacknowledged"; then there is no bound.
MAX_PREFETCH = 65_535
NOT_FOUND = 404


class Found(Struct, frozen=True):
    """One message in a dead-letter queue."""

    body: bytes
    headers: dict[str, Any]
    id: str
    task: str
    priority: int


def walk(
    url: str,
    queue: str,
    visit: Callable[[Found], bool],
    *,
    whole_max_bytes: int | None = None,
    tls: Tls = SYSTEM_CAS,
) -> int | None:
    """Show `visit` every message in `queue`'s dead-letter queue; remove those for which it returns True.

    Args:
        url: Where RabbitMQ is.
        queue: The work queue.
        visit: Called with each message.
        whole_max_bytes: Longest body that is shown as a whole, of others the beginning; None: no bound.
        tls: The certificates, where `url` begins with `amqps:`.

    Returns:
        How many were seen, all that were there at the start; or None if another walk is under way, or the
        queue is being moved, or there is no such queue, or its first message came just then. What was removed
        is gone when it returns.

    Raises:
        BrokerUnavailable: If RabbitMQ did not answer, or not with all messages; some may have been removed.
    """
    try:
        with _channel(url, tls, whole_max_bytes) as channel:
            return _walk(channel, dead_queue(queue), visit)
    except ChannelClosedByBroker as error:
        if error.reply_code in (NOT_FOUND, LOCKED) or "exclusive" in error.reply_text:
            return None  # not there, or read by another
        raise BrokerUnavailable(f"dead letters of {queue!r}: {describe(error)}") from error
    except (AMQPError, OSError) as error:
        raise BrokerUnavailable(f"dead letters of {queue!r}: {describe(error)}") from error


def _walk(channel: Any, name: str, visit: Callable[[Found], bool]) -> int | None:
    lock(channel, name)
    count = channel.queue_declare(name, passive=True).method.message_count
    if not count:
        # RabbitMQ says so, too, of a quorum queue that it cannot reach; but from that one it gets nothing.
        return None if channel.basic_get(name)[0] else 0
    channel.basic_qos(prefetch_count=count if count <= MAX_PREFETCH else 0)
    seen, heard_at = 0, time.monotonic()
    for method, properties, body in channel.consume(
        name, exclusive=True, inactivity_timeout=SILENCE_S
    ):
        if method is None:
            raise BrokerUnavailable(f"{name}: {seen} of {count} messages came")
        if visit(_found(properties, body)):
            channel.basic_ack(method.delivery_tag)
        seen += 1
        if seen >= count:
            break
        if (
            time.monotonic() - heard_at > HEARTBEAT_S / 2
        ):  # what has come already is read without a look at it
            channel.connection.process_data_events(time_limit=0)
            heard_at = time.monotonic()
    return seen


@contextmanager
def _channel(url: str, tls: Tls, whole_max_bytes: int | None) -> Iterator[Any]:
    with blocking(
        url,
        name="taskyard dead letters",
        tls=tls,
        blocked_timeout_s=5,
        whole_max_bytes=whole_max_bytes,
    ) as connection:
        channel = connection.channel()
        yield channel
        # Answered only after all acknowledgements before it: what was removed is gone.
        channel.close()


def _found(properties: pika.BasicProperties, body: bytes) -> Found:
    return Found(
        body=body,
        headers=dict(properties.headers or {}),
        id=received_text(properties.message_id),
        task=received_text(properties.type),
        priority=properties.priority or 0,
    )
