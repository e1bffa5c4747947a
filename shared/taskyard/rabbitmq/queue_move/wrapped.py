"""The form in which a message waits beside its queue while that is moved, and where it goes back to."""

from typing import Any

import msgspec
from msgspec import Struct
from pika.spec import BasicProperties

from taskyard.rabbitmq import topology
from taskyard.rabbitmq.queue_move.transfer import Onward, Taken
from taskyard.rabbitmq.queue_move.verbatim import VerbatimProperties, without_headers

#: What RabbitMQ adds to a message that it delivers from a quorum queue again.
BROKERS_HEADERS = frozenset({"x-delivery-count", "x-acquired-count"})
#: What it adds to one that it moves to a dead-letter queue by itself.
DEATH_HEADERS = frozenset(
    ["x-death"]
    + [
        f"x-{which}-death-{what}"
        for which in ("first", "last")
        for what in ("exchange", "queue", "reason")
    ]
)
#: Above it a frame might be too large: RabbitMQ takes no message back that has grown beyond in a queue.
MAX_PROPERTIES_BYTES = 130_000
#: A larger body stays as it is, with all else in this header, unless that is too long for one: RabbitMQ takes
#: bodies up to its `max_message_size`, which one in a queue may have already. Bytes.
LARGE_BYTES = 1_048_576
WRAPPED_HEADER = "taskyard-wrapped"
MAX_HEADER_BYTES = 120_000


class _Wrapped(Struct, array_like=True):
    #: Texts, or bytes where they are not UTF-8: msgspec has no type for either.
    exchange: Any
    routing_key: Any
    properties: bytes
    body: bytes


def wrap(taken: Taken, *, into: str) -> Onward:
    """Return a message with all of another in it, and no property that would reorder or expire it."""
    raw = taken.properties.raw
    if taken.is_redelivered:
        raw = without_headers(raw, BROKERS_HEADERS)
    if len(taken.body) > LARGE_BYTES and len(raw) <= MAX_HEADER_BYTES:
        beside = msgspec.msgpack.encode(_Wrapped(taken.exchange, taken.routing_key, raw, b""))
        headers = {WRAPPED_HEADER: beside}
        return Onward("", into, BasicProperties(delivery_mode=2, headers=headers), taken.body)
    wrapped = _Wrapped(taken.exchange, taken.routing_key, raw, taken.body)
    body = msgspec.msgpack.encode(wrapped)
    return Onward("", into, BasicProperties(delivery_mode=2), body)


def unwrap(taken: Taken, *, queue: str) -> Onward:
    """Return the message as it was in `queue`, on its way there."""
    beside = (taken.properties.headers or {}).get(WRAPPED_HEADER)
    wrapped = msgspec.msgpack.decode(taken.body if beside is None else beside, type=_Wrapped)
    body = wrapped.body if beside is None else taken.body
    exchange: str | bytes = ""
    routing_key: str | bytes = queue
    if queue == topology.INTAKE_QUEUE and wrapped.exchange == topology.SUBMIT_EXCHANGE:
        exchange, routing_key = wrapped.exchange, wrapped.routing_key  # it names the job's queue
    elif queue == topology.UNROUTED and wrapped.exchange:
        exchange, routing_key = topology.UNROUTED, wrapped.routing_key
    raw = wrapped.properties
    if len(raw) > MAX_PROPERTIES_BYTES:
        raw = without_headers(raw, DEATH_HEADERS)
    return Onward(exchange, routing_key, VerbatimProperties(raw), body)
