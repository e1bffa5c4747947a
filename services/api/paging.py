"""Pages of a list: how many entries, and a cursor that says where to go on."""

import base64
from datetime import datetime

import msgspec
from flask import request

from services.api import openapi
from services.api.problems import InvalidParameter
from services.api.schemas import TEXT
from taskyard.store.dead_letters import Cursor

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

LIMIT = openapi.parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "Entries of a page.",
)
CURSOR = openapi.parameter("cursor", TEXT, "The `next` of the page before.")


def limit() -> int:
    """Return the query's `limit`.

    Raises:
        InvalidParameter: If it is no whole number from 1 to `MAX_LIMIT`.
    """
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT):
        raise InvalidParameter("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def cursor() -> Cursor | None:
    """Return the query's `cursor`, or None where there is none.

    Raises:
        InvalidParameter: If it is none that this API gave.
    """
    text = request.args.get("cursor")
    if text is None:
        return None
    try:
        at_ms, last = msgspec.json.decode(base64.urlsafe_b64decode(text), type=tuple[int, str])
    except (ValueError, msgspec.DecodeError):
        raise InvalidParameter("cursor", "must be the `next` of the page before") from None
    if not 0 <= at_ms < 2**53 or not last:
        raise InvalidParameter("cursor", "must be the `next` of the page before")
    return at_ms, last


def written(cursor: Cursor | None) -> str | None:
    """Return a cursor as the query takes it."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


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
