"""Pages of a list: how many entries and bytes, and a cursor that says where to go on.

A cursor has the id of the last entry that was read, which the caller may not see: it is encrypted.
"""

import base64
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from flask import request

from services.api.context import context
from services.api.http.errors import InvalidCursor, InvalidParameter
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT
from taskyard.store.finding import PAGE_BYTES, Cursor

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_encode = msgspec.json.Encoder().encode

LIMIT = describe.parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "Entries of a page.",
    example=20,
)
CURSOR = describe.parameter("cursor", TEXT, "The `next` or `cursor` of the page before.")


def limit() -> int:
    """Return the query's `limit`.

    Raises:
        InvalidParameter: If it is no whole number from 1 to `MAX_LIMIT`.
    """
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise InvalidParameter("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def cursor(of: str) -> Cursor | None:
    """Return the query's `cursor`, or None where there is none.

    Args:
        of: The list that it is of, in its order.

    Raises:
        InvalidParameter: If it is none that this list has given.
    """
    try:
        return opened(request.args.get("cursor"), of)
    except InvalidCursor as error:
        raise InvalidParameter("cursor", error.detail) from None


def opened(text: str | None, of: str) -> Cursor | None:
    """Return what is in a cursor, or None where there is none.

    Raises:
        InvalidCursor: If it is none that this list has given.
    """
    if text is None:
        return None
    try:
        its_list, place, last = msgspec.json.decode(
            _cipher().decrypt(text.encode()), type=tuple[str, int, str]
        )
    except (InvalidToken, ValueError, msgspec.DecodeError):
        raise InvalidCursor from None
    if its_list != of:
        raise InvalidCursor
    return place, last


def sealed(cursor: Cursor | None, of: str) -> str | None:
    """Return a cursor as `opened` takes it."""
    return None if cursor is None else _cipher().encrypt(_encode((of, *cursor))).decode()


def link(following: str | None) -> dict[str, str]:
    """Return the header that leads to the next page of this list, if there is one."""
    if following is None:
        return {}
    query = [pair for pair in request.args.items(multi=True) if pair[0] != "cursor"]
    return {"Link": f'<{request.path}?{urlencode([*query, ("cursor", following)])}>; rel="next"'}


def within(
    entries: Iterable[tuple[Cursor, Any]], cursor: Cursor | None
) -> tuple[list[msgspec.Raw], Cursor | None]:
    """Return the entries that a page has room for as JSON, and where the next one begins.

    Args:
        entries: Each with its place; None is not shown.
        cursor: Where the next page begins if there is room for all.
    """
    items: list[msgspec.Raw] = []
    page_bytes, last = 0, None
    for place, entry in entries:
        if entry is not None:
            item = _encode(entry)
            page_bytes += len(item)
            if items and page_bytes > PAGE_BYTES:
                return items, last
            items.append(msgspec.Raw(item))
        last = place
    return items, cursor


def _cipher() -> Fernet:
    return _cipher_of(context().keyed.key("cursors"))


@lru_cache(maxsize=2)
def _cipher_of(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))


def time_ms(name: str, default_ms: int) -> int:
    """Return a time in the query in milliseconds since 1970.

    Raises:
        InvalidParameter: If it is no time with a time zone.
    """
    text = request.args.get(name)
    if text is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(text)
        return max(0, round(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise InvalidParameter(name, "must be a time like 2026-11-24T10:00:00Z") from None
