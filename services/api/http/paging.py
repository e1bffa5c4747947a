"""Lists that are answered page by page: what a page holds, and the cursor that leads to the next one.

A cursor has the id of the last entry that was read, which the caller may not see: it is encrypted.
"""

import base64
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from services.api.context import context
from services.api.http.errors import InvalidCursor, InvalidParameter
from services.api.http.queries import QueryInteger
from services.api.http.replies import reply
from taskyard.store.finding import PAGE_BYTES, Cursor

#: Name of the parameter that goes on with a list, and of the field of a page that says where.
CURSOR = "cursor"
_encode = msgspec.json.Encoder().encode


class CursorQuery(BaseModel):
    """Where a page begins."""

    model_config = ConfigDict(extra="forbid", strict=True)

    cursor: str | None = Field(
        default=None, description="Where to go on: the `cursor` of the page before."
    )


class PageQuery(CursorQuery):
    """Where a page begins, and how many entries it has."""

    limit: Annotated[int, Field(ge=1, le=500), QueryInteger] = Field(
        default=50, description="Entries of a page, at most.", examples=[20]
    )


class PagedList:
    """A list, of which each answer is a page.

    Args:
        name: What the list is of, and in which order: cursors of another list are refused.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def start(self) -> Cursor | None:
        """Return where this request's page begins: behind the query's `cursor`; None: at the first entry.

        Raises:
            InvalidParameter: If it is none that this list has given.
        """
        try:
            return self.opened(request.args.get(CURSOR))
        except InvalidCursor as error:
            raise InvalidParameter(CURSOR, error.detail) from None

    def opened(self, cursor: str | None) -> Cursor | None:
        """Return the place that `sealed` has put into a cursor; None where there is no cursor.

        Raises:
            InvalidCursor: If it is none that this list has given.
        """
        if cursor is None:
            return None
        try:
            name, place, last_id = msgspec.json.decode(
                _cipher().decrypt(cursor.encode()), type=tuple[str, int, str]
            )
        except (InvalidToken, ValueError, msgspec.DecodeError):
            raise InvalidCursor from None
        if name != self._name:
            raise InvalidCursor
        return place, last_id

    def sealed(self, end: Cursor | None) -> str | None:
        """Return the cursor that leads behind this place; None where the list ends."""
        return None if end is None else _cipher().encrypt(_encode((self._name, *end))).decode()

    def page(self, items: Iterable[Any], end: Cursor | None) -> Response:
        """Return the answer with these entries; the next page begins at `end`; None: this is the last."""
        cursor = self.sealed(end)
        return reply({"items": items, CURSOR: cursor}, headers=_link(cursor))

    def bounded_page(self, entries: Iterable[tuple[Cursor, Any]], end: Cursor | None) -> Response:
        """Return the answer with as many of these entries as make `PAGE_BYTES`, and one at least.

        Args:
            entries: Each with its place; None is left out.
            end: Where the next page begins if there is room for all.
        """
        return self.page(*_within(entries, end))


def _within(
    entries: Iterable[tuple[Cursor, Any]], end: Cursor | None
) -> tuple[list[msgspec.Raw], Cursor | None]:
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
    return items, end


def _link(cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the next page of this list, if there is one."""
    if cursor is None:
        return {}
    query = [pair for pair in request.args.items(multi=True) if pair[0] != CURSOR]
    return {"Link": f'<{request.path}?{urlencode([*query, (CURSOR, cursor)])}>; rel="next"'}


def _cipher() -> Fernet:
    return _cipher_of(context().keyed.key("cursors"))


@lru_cache(maxsize=2)
def _cipher_of(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
