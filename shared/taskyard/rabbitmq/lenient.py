"""Reading properties that pika cannot: any producer may send a time past the year 9999, or a very deep table.

RabbitMQ takes them, and hands them on; an error here would end the connection, and the message come again.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pika import frame, spec
from pika.data import decode_value
from pika.spec import BasicProperties

_FRAME = struct.Struct(">BHL")
#: Class, weight and body size, which come before the properties in a frame.
_HEAD = struct.Struct(">HHQ")
_FLAGS_BYTES = 2
_LENGTH_BYTES = 4
#: How long values are, by their type; what is missing has its length before it.
_SIZES = {
    **dict.fromkeys(b"V", 0),
    **dict.fromkeys(b"tbB", 1),
    **dict.fromkeys(b"Uus", 2),
    **dict.fromkeys(b"Iif", 4),
    **dict.fromkeys(b"D", 5),
    **dict.fromkeys(b"LldT", 8),
}
_WITH_LENGTH = frozenset(b"SxAF")


def raw_properties(frame_bytes: bytes) -> bytes:
    """Return the properties in a header frame as they came."""
    size = _FRAME.unpack_from(frame_bytes)[2]
    return frame_bytes[spec.FRAME_HEADER_SIZE + _HEAD.size : spec.FRAME_HEADER_SIZE + size]


def read_header(buffer: bytes) -> tuple[int, frame.Header] | None:
    """Return the header frame that `buffer` begins with, and its length; None if it is another frame."""
    kind, channel, size = _FRAME.unpack_from(buffer)
    if kind != spec.FRAME_HEADER:
        return None
    body_bytes = _HEAD.unpack_from(buffer, spec.FRAME_HEADER_SIZE)[2]
    properties = BasicProperties()
    fill(properties, raw_properties(buffer))
    end = spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
    return end, frame.Header(channel, body_bytes, properties)


def fill(properties: BasicProperties, raw: bytes) -> None:
    """Set all that can be read of `raw`; a header that cannot is left out, as if it were not there."""
    try:
        properties.decode(raw)
    except Exception:  # noqa: BLE001 - of many kinds: what strangers send is not for us to foresee
        begin, end = headers_span(raw)
        properties.decode(raw[: begin - _LENGTH_BYTES] + bytes(_LENGTH_BYTES) + raw[end:])
        properties.headers = _readable(raw[begin:end])


def headers_span(raw: bytes) -> tuple[int, int]:
    """Return where the fields of the headers begin and end; the same place twice if there are none."""
    flags = int.from_bytes(raw[:_FLAGS_BYTES])
    begin = _FLAGS_BYTES
    for flag in (BasicProperties.FLAG_CONTENT_TYPE, BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            begin += 1 + raw[begin]
    if not flags & BasicProperties.FLAG_HEADERS:
        return begin, begin
    at = begin + _LENGTH_BYTES
    return at, at + int.from_bytes(raw[begin:at])


def fields(table: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Return the name of each field, where it begins, where its value begins, and where it ends.

    However deep the tables in it are, it takes no deeper stack.

    Raises:
        ValueError: If a field is of a type that RabbitMQ has not.
    """
    at = 0
    while at < len(table):
        value_at = at + 1 + table[at]
        end = _end_of(table, value_at)
        yield table[at + 1 : value_at], at, value_at, end
        at = end


def _end_of(table: bytes, at: int) -> int:
    kind = table[at]
    begin = at + 1
    if kind in _WITH_LENGTH:
        inside = begin + _LENGTH_BYTES
        return inside + int.from_bytes(table[begin:inside])
    if kind not in _SIZES:
        raise ValueError(f"a header of the unknown type {kind:#x}")
    return begin + _SIZES[kind]


def _readable(table: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, _, value_at, _ in fields(table):
        with suppress(Exception):  # likewise
            found[name.decode()] = decode_value(table, value_at)[0]
    return found
