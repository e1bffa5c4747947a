"""Reading properties as RabbitMQ does: it hands on what pika cannot read, or takes for something else.

Such are a time past the year 9999, a very deep table, and flags of no property. An error here would end the
connection, and the message come again.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from pika import frame, spec
from pika.data import decode_table, decode_value
from pika.spec import BasicProperties

#: A header frame up to its properties: type, channel, size; class, weight and body size.
_HEAD = struct.Struct(">BHLHHQ")
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
    size = _HEAD.unpack_from(frame_bytes)[2]
    return frame_bytes[_HEAD.size : spec.FRAME_HEADER_SIZE + size]


def read_header(buffer: bytes) -> tuple[int, frame.Header] | None:
    """Return the header frame that `buffer` begins with, and its length; None if there is none as a whole."""
    if len(buffer) < _HEAD.size or buffer[0] != spec.FRAME_HEADER:
        return None
    _, channel, size, _, _, body_bytes = _HEAD.unpack_from(buffer)
    last = spec.FRAME_HEADER_SIZE + size
    if len(buffer) <= last or buffer[last] != spec.FRAME_END:
        return None
    properties = BasicProperties(**_read(buffer[_HEAD.size : last]))
    return last + spec.FRAME_END_SIZE, frame.Header(channel, body_bytes, properties)


def fill(properties: BasicProperties, raw: bytes) -> None:
    """Set all that can be read of `raw`; what cannot is left out, as if it were not there."""
    for name, value in _read(raw).items():
        setattr(properties, name, value)


def _read(raw: bytes) -> dict[str, Any]:
    """Return all that can be read of `raw`."""
    found: dict[str, Any] = {}
    end = len(raw)
    at = _FLAGS_BYTES
    try:
        for name, read in _given(raw[:at]):
            value: Any
            if read is None:  # most are texts, of each delivery: no call for these
                begin = at + 1
                at = begin + raw[at]
                try:
                    value = raw[begin:at].decode()
                except UnicodeDecodeError:
                    value = raw[begin:at]  # as pika gives it
            else:
                value, at = read(raw, at)
            if at > end:
                break
            found[name] = value
    except Exception:  # noqa: BLE001 - of many kinds: the input is untrusted
        pass
    return found


@lru_cache(maxsize=256)  # producers choose the flags
def _given(flags: bytes) -> list[tuple[str, "_Reader | None"]]:
    """Return the names of the properties that are there, and what reads them, in their order."""
    bits = int.from_bytes(flags)
    return [(name, read) for flag, name, read in _PROPERTIES if bits & flag]


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


_Reader = Callable[[bytes, int], tuple[Any, int]]
#: What returns the value and where it ends; None: it is a text, with its length in a byte before it.
_READERS: dict[str, _Reader | None] = {
    "content_type": None,
    "content_encoding": None,
    "headers": _read_headers,
    "delivery_mode": _read_byte,
    "priority": _read_byte,
    "correlation_id": None,
    "reply_to": None,
    "expiration": None,
    "message_id": None,
    "timestamp": _read_time,
    "type": None,
    "user_id": None,
    "app_id": None,
    "cluster_id": None,
}
#: All that there are, in their order: flag, name and reader. The two flags that are left say nothing to
#: RabbitMQ, though in AMQP the lower says that more flags follow.
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
