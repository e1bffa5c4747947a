"""Rows as aligned columns, made narrower where a terminal has not the room for them."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from taskyard.runtime.short_text import visible

#: What stands where there is nothing to say: a column never vanishes from a line.
NOTHING = "-"
#: No column is cut to less than this. Characters.
CUT_MIN = 8
_GAP = "  "
#: The colours of words of state; what they mean is in the word, never in the colour alone.
_COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("completed", "active", "alive", "done"), "green"),
    **dict.fromkeys(("running", "scheduled"), "cyan"),
    **dict.fromkeys(("retrying", "paused", "stopping", "no worker", "unknown"), "yellow"),
    **dict.fromkeys(("failed", "lost", "revoked"), "red"),
    **dict.fromkeys(("cancelled", "expired", "stopped"), "magenta"),
}


class Column(NamedTuple):
    """A column of a table.

    Args:
        title: Its head.
        value: Gives its value from a document; None and "" are shown as nothing.
        kind: A `time` is RFC 3339, and shown as its age where there is no room; a `state` has a colour;
            a `number` stands on the right.
        is_optional: It is left out where there is no room and all that it has is nothing, or 0.
        may_be_cut: Its values are cut where there is no room.
    """

    title: str
    value: Callable[[Mapping[str, Any]], Any]
    kind: str = "text"
    is_optional: bool = False
    may_be_cut: bool = False


class Table:
    """Lines of aligned columns; rows may come page by page.

    Args:
        columns: What is shown of each document.
        width: How many characters have room in a line; None: any number.
        is_coloured: Whether the terminal shows colours.
        now: What ages are told from.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        width: int | None = None,
        is_coloured: bool = False,
        now: datetime | None = None,
    ) -> None:
        self._columns = list(columns)
        self._width = width
        self._is_coloured = is_coloured
        self._now = now
        self._has_ages = False
        self._widths: list[int] = []

    def lines(self, documents: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the lines of some rows, below the head if they are the first."""
        is_first = not self._widths
        if is_first:
            self._choose(documents)
        rows = self._rows(documents)
        self._widths = self._fitting(rows, self._widths or [0] * len(self._columns))
        return [*([self._head()] if is_first else []), *map(self._line, rows)]

    def _choose(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Decide by the first rows whether there is room for times, and for columns that say nothing."""
        if self._is_too_wide(documents):
            self._has_ages = True
        if self._is_too_wide(documents):
            self._columns = [
                column
                for column in self._columns
                if not column.is_optional
                or any(_text(column.value(each)) not in (NOTHING, "0") for each in documents)
            ]

    def _is_too_wide(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        if self._width is None:
            return False
        widths = self._natural(self._rows(documents), [0] * len(self._columns))
        return _total(widths) > self._width

    def _rows(self, documents: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        return [[self._cell(column, each) for column in self._columns] for each in documents]

    def _cell(self, column: Column, document: Mapping[str, Any]) -> str:
        value = column.value(document)
        if column.kind == "time" and self._has_ages and value:
            return age(value, self._now)
        return _text(value)

    def _natural(self, rows: Sequence[Sequence[str]], at_least: Sequence[int]) -> list[int]:
        heads = [column.title for column in self._columns]
        return [
            max(least, *map(cells, values))
            for least, values in zip(at_least, zip(heads, *rows, strict=True), strict=True)
        ]

    def _fitting(self, rows: Sequence[Sequence[str]], at_least: Sequence[int]) -> list[int]:
        widths = self._natural(rows, at_least)
        if self._width is None:
            return widths
        while _total(widths) > self._width:
            cuttable = [place for place, column in enumerate(self._columns) if column.may_be_cut]
            widest = max(cuttable, key=widths.__getitem__, default=-1)
            if widest < 0 or widths[widest] <= CUT_MIN:
                break  # the terminal breaks the lines: what may not be cut is there to be copied
            widths[widest] -= 1
        return widths

    def _head(self) -> str:
        head = self._line([column.title for column in self._columns])
        return click.style(head, bold=True) if self._is_coloured else head

    def _line(self, row: Sequence[str]) -> str:
        parts = []
        for column, text, width in zip(self._columns, row, self._widths, strict=True):
            shown = cut(text, width) if column.may_be_cut else text
            room = " " * max(0, width - cells(shown))
            is_styled = column.kind == "state" and self._is_coloured
            drawn = styled(shown, is_coloured=is_styled)
            parts.append(room + drawn if column.kind == "number" else drawn + room)
        return _GAP.join(parts).rstrip()


def cells(text: str) -> int:
    """Return how many places of a terminal a text takes: some letters take two, and accents none."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def cut(text: str, width: int) -> str:
    """Return a text that takes at most `width` places; where a longer one was cut off, it ends in `...`."""
    if cells(text) <= width:
        return text
    kept = text[: max(0, width - 3)]
    while cells(kept) > width - 3:
        kept = kept[:-1]
    return f"{kept}..."


def age(time: str, now: datetime | None) -> str:
    """Return how long ago a time is (RFC 3339), or in how long: `5m ago`, `in 2h`."""
    if now is None:
        return time
    seconds = (now - datetime.fromisoformat(time)).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: `350ms`, `12s`, `5m`, `3h`, `9d`."""
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)}{unit}"
    return f"{round(seconds * 1000)}ms"


def styled(word: str, *, is_coloured: bool) -> str:
    """Return a word of state with its colour, if there are colours."""
    return click.style(word, fg=_COLOURS[word]) if is_coloured and word in _COLOURS else word


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _text(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    return visible(str(value))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
