"""Rows as scripts answer them, whose texts are what records hold: not always texts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

R = TypeVar("R")

_decoder: Any = lru_cache(maxsize=None)(msgspec.msgpack.Decoder)


def rows_of(rows: Sequence[msgspec.Raw], kind: type[R]) -> list[R]:
    """Return each row as `row_of` does."""
    return [row_of(row, kind) for row in rows]


def row_of(row: msgspec.Raw, kind: type[R]) -> R:
    """Return a job as a script answers it; a body that is no text in its record is kept as it is.

    Its other bytes are lone surrogates then, which become the same bytes again where the body is encoded with
    `surrogateescape`.
    """
    try:
        read: R = _decoder(kind).decode(row)
        return read
    except (msgspec.DecodeError, UnicodeDecodeError):
        values = msgspec.msgpack.decode(row, type=list[msgspec.Raw])
        body = kind.__struct_fields__.index("body")  # type: ignore[attr-defined]  # all are structs
        return msgspec.convert(
            [
                text_of(value, errors="surrogateescape" if index == body else "replace")
                for index, value in enumerate(values)
            ],
            kind,
        )


def text_of(packed: msgspec.Raw, *, errors: str) -> Any:
    """Return a value; of a text that is not UTF-8 what `errors` makes of it."""
    try:
        return msgspec.msgpack.decode(packed)
    except UnicodeDecodeError:
        return bytes_of(packed).decode(errors=errors)


def bytes_of(packed: msgspec.Raw) -> bytes:
    """Return a text as the bytes that Redis has of it: they come behind a head of 1, 2, 3 or 5 bytes."""
    data = bytes(packed)
    head = {0xD9: 2, 0xDA: 3, 0xDB: 5}.get(data[0], 1)
    return data[head:]
