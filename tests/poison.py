"""Properties of AMQP messages written byte by byte: those that RabbitMQ takes, but pika would not write."""

import struct

from pika import BasicProperties

#: In the order in which they are sent; the first has the highest bit.
NAMES = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)


class RawProperties(BasicProperties):
    """Properties that are sent as these bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw

    def encode(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [self.raw]


def raw(*, flags: bytes = b"", **values: bytes) -> RawProperties:
    """Return properties with these values: `headers` is the inside of a table, numbers are whole fields.

    Args:
        flags: Bits to set beside those that say what is given; the lowest two are of no property.
        values: By the names of the properties.
    """
    bits = int.from_bytes(flags)
    encoded = b""
    for place, name in enumerate(NAMES):
        if name in values:
            bits |= 1 << (15 - place)
            encoded += _written(name, values[name])
    return RawProperties(bits.to_bytes(2) + encoded)


def _written(name: str, value: bytes) -> bytes:
    if name in ("delivery_mode", "priority", "timestamp"):
        return value
    return long_bytes(value) if name == "headers" else short_bytes(value)


def short_bytes(value: bytes) -> bytes:
    """Return a text with its length, at most 255 bytes of any kind."""
    return len(value).to_bytes(1) + value


def long_bytes(value: bytes) -> bytes:
    """Return the inside of a table, an array or a long text with its length."""
    return len(value).to_bytes(4) + value


def field(name: bytes, kind: bytes, value: bytes) -> bytes:
    """Return an entry of a table."""
    return short_bytes(name) + kind + value


def timestamp(seconds: int) -> bytes:
    """Return a header that is a time; AMQP's are in seconds."""
    return field(b"sent-at", b"T", struct.pack(">Q", seconds))


def nested_tables(depth: int) -> bytes:
    """Return a header that is a table in a table, and so on."""
    inside = b""
    for _ in range(depth):
        inside = field(b"", b"F", long_bytes(inside))
    return inside


def nested_arrays(depth: int) -> bytes:
    """Return a header that is an array in an array, and so on."""
    inside = b""
    for _ in range(depth):
        inside = b"A" + long_bytes(inside)
    return short_bytes(b"deep") + inside if depth else b""
