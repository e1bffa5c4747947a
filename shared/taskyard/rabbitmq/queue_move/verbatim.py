"""Properties of messages byte by byte as RabbitMQ sent them: pika would encode numbers with other types."""

from collections.abc import Collection
from typing import Any

from pika import frame
from pika.spec import BasicProperties

from taskyard.rabbitmq import lenient
from taskyard.rabbitmq.connection import AmqpConnection

_FLAGS_BYTES = 2
_LENGTH_BYTES = 4


class VerbatimProperties(BasicProperties):
    """Properties that can be read, and are sent as the bytes that they came as."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw
        lenient.fill(self, raw)

    def encode(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [self.raw]


class VerbatimConnection(AmqpConnection):
    """A connection whose deliveries have `VerbatimProperties`."""

    def _read_frame(self) -> tuple[int, Any]:
        consumed_bytes, found = super()._read_frame()
        if isinstance(found, frame.Header):
            found.properties = VerbatimProperties(lenient.raw_properties(self._frame_buffer))
        return consumed_bytes, found


def without_headers(raw: bytes, names: Collection[str]) -> bytes:
    """Return the bytes of properties without the headers of these names; all others stay as they are.

    Headers that cannot be told apart stay too.
    """
    begin, end = lenient.headers_span(raw)
    if begin == end:
        return raw
    table = raw[begin:end]
    left_out = {name.encode() for name in names}
    try:
        kept = b"".join(
            table[at:next_at]
            for name, at, _, next_at in lenient.fields(table)
            if name not in left_out
        )
    except (IndexError, ValueError):
        return raw
    before = raw[: begin - _LENGTH_BYTES]
    if kept:
        return before + len(kept).to_bytes(_LENGTH_BYTES) + kept + raw[end:]
    # A message without headers gets some for these.
    flags = int.from_bytes(raw[:_FLAGS_BYTES]) & ~BasicProperties.FLAG_HEADERS
    return flags.to_bytes(_FLAGS_BYTES) + before[_FLAGS_BYTES:] + raw[end:]
