"""Reading properties as RabbitMQ does: it hands on what pika cannot read, or takes for something else.

Such are a time past the year 9999, a very deep table, and flags of no property. An error here would end the
connection, and the message come again.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pika import frame, spec
from pika.data import decode_short_string, decode_table, decode_value
from pika.spec import BasicProperties

_FRAME = struct.Struct(">BHL")
#: Class, weight and body size, which come before the properties in a frame.
_HEAD = struct.Struct(">HHQ")
_FRAME_END = bytes([spec.FRAME_END])
_FLAGS_BYTES = 2
_TIME_BYTES = 8
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
    """Return the header frame that `buffer` begins with, and its length; None if there is none as a whole."""
    if len(buffer) < spec.FRAME_HEADER_SIZE or buffer[0] != spec.FRAME_HEADER:
        return None
    _, channel, size = _FRAME.unpack_from(buffer)
    end = spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
    if buffer[end - 1 : end] != _FRAME_END:
        return None
    body_bytes = _HEAD.unpack_from(buffer, spec.FRAME_HEADER_SIZE)[2]
    properties = BasicProperties()
    fill(properties, raw_properties(buffer))
    return end, frame.Header(channel, body_bytes, properties)


def fill(properties: BasicProperties, raw: bytes) -> None:
    """Set all that can be read of `raw`; what cannot is left out, as if it were not there."""
    flags = int.from_bytes(raw[:_FLAGS_BYTES])
    at = _FLAGS_BYTES
    with suppress(Exception):  # of many kinds: what strangers send is not for us to foresee
        for flag, name, read in _PROPERTIES:
            if not flags & flag:
                continue
            value, at = read(raw, at)
            if at > len(raw):
                return
            setattr(properties, name, value)


def headers_span(raw: bytes) -> tuple[int, int]:
    """Return where the fields of the headers begin and end; the same place twice if not all are there."""
    flags = int.from_bytes(raw[:_FLAGS_BYTES])
    at = _FLAGS_BYTES
    for flag in (BasicProperties.FLAG_CONTENT_TYPE, BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            at += 1 + int.from_bytes(raw[at : at + 1])
    begin, end = _table_span(raw, at)
    is_there = flags & BasicProperties.FLAG_HEADERS and end <= len(raw)
    return begin, end if is_there else begin


def _table_span(raw: bytes, at: int) -> tuple[int, int]:
    begin = at + _LENGTH_BYTES
    return begin, begin + int.from_bytes(raw[at:begin])


def _read_headers(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    begin, end = _table_span(raw, at)
    try:
        return decode_table(raw, at)[0], end
    except Exception:  # noqa: BLE001 - likewise
        return _readable(raw[begin:end]), end


def _read_byte(raw: bytes, at: int) -> tuple[int, int]:
    return raw[at], at + 1


def _read_time(raw: bytes, at: int) -> tuple[int, int]:
    end = at + _TIME_BYTES
    return int.from_bytes(raw[at:end]), end


_READERS: dict[str, Callable[[bytes, int], tuple[Any, int]]] = {
    "content_type": decode_short_string,
    "content_encoding": decode_short_string,
    "headers": _read_headers,
    "delivery_mode": _read_byte,
    "priority": _read_byte,
    "correlation_id": decode_short_string,
    "reply_to": decode_short_string,
    "expiration": decode_short_string,
    "message_id": decode_short_string,
    "timestamp": _read_time,
    "type": decode_short_string,
    "user_id": decode_short_string,
    "app_id": decode_short_string,
    "cluster_id": decode_short_string,
}
#: All that there are, in their order: flag, name, and what returns the value and where it ends. The two flags
#: that are left say nothing to RabbitMQ, though in AMQP the lower says that more flags follow.
_PROPERTIES = [(0x8000 >> place, name, read) for place, (name, read) in enumerate(_READERS.items())]


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
    with suppress(Exception):  # likewise
        for name, _, value_at, _ in fields(table):
            with suppress(Exception):
                found[name.decode()] = decode_value(table, value_at)[0]
    return found
