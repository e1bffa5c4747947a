"""Properties of messages byte by byte as RabbitMQ sent them: pika would encode numbers with other types."""

from collections.abc import Collection
from typing import Any

from pika import frame, spec
from pika.data import decode_value
from pika.spec import BasicProperties

from taskyard.rabbitmq.connection import Connection

_FLAGS_BYTES = 2
_LENGTH_BYTES = 4
#: Class, weight and body size, which come before the properties in a frame.
_HEAD_BYTES = 12


class VerbatimProperties(BasicProperties):
    """Properties that can be read, and are sent as the bytes that they came as."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw
        self.decode(raw)

    def encode(self) -> list[bytes]:
        """Return what goes over the wire."""
        return [self.raw]


class VerbatimConnection(Connection):
    """A connection whose deliveries have `VerbatimProperties`."""

    def _read_frame(self) -> tuple[int, Any]:
        consumed_bytes, found = super()._read_frame()
        if isinstance(found, frame.Header):
            begin = spec.FRAME_HEADER_SIZE + _HEAD_BYTES
            raw = self._frame_buffer[begin : consumed_bytes - spec.FRAME_END_SIZE]
            found.properties = VerbatimProperties(bytes(raw))
        return consumed_bytes, found


def without_headers(raw: bytes, names: Collection[str]) -> bytes:
    """Return the bytes of properties without the headers of these names; all others stay as they are."""
    flags = int.from_bytes(raw[:_FLAGS_BYTES])
    if not flags & BasicProperties.FLAG_HEADERS:
        return raw
    begin = _FLAGS_BYTES
    for flag in (BasicProperties.FLAG_CONTENT_TYPE, BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            begin += 1 + raw[begin]
    at = begin + _LENGTH_BYTES
    end = at + int.from_bytes(raw[begin:at])
    kept = b""
    while at < end:
        name_end = at + 1 + raw[at]
        next_at = decode_value(raw, name_end)[1]
        if raw[at + 1 : name_end].decode() not in names:
            kept += raw[at:next_at]
        at = next_at
    if not kept:  # a message without headers gets some for these
        flags &= ~BasicProperties.FLAG_HEADERS
        return flags.to_bytes(_FLAGS_BYTES) + raw[_FLAGS_BYTES:begin] + raw[end:]
    return raw[:begin] + len(kept).to_bytes(_LENGTH_BYTES) + kept + raw[end:]
