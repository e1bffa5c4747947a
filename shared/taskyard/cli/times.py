"""Times and durations as the command line takes them: one form for all commands."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

from taskyard.message import MAX_SECONDS, MAX_TIME_MS

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_PARTS = re.compile(f"(?:{_PART.pattern})+", re.ASCII)
_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
#: Digits of one number: more are a mistake, and would take long to read.
_MAX_CHARS = 40


class Duration(click.ParamType[float]):
    """A duration: `90`, `90s`, `10m`, `1h30m`, `2d`; in Python a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the seconds that a text says; a number is taken as it is."""
        if not isinstance(value, str):
            return float(value)
        found_ms = _duration_ms(value)
        if found_ms is None and _SECONDS.fullmatch(value[:_MAX_CHARS]) and len(value) < _MAX_CHARS:
            found_ms = round(float(value) * 1000)
        if found_ms is None:
            text = f"{value!r} is no duration: give seconds, or like 90s, 10m, 1h30m, 2d"
            self.fail(text, param, ctx)
        if found_ms > MAX_SECONDS * 1000:
            self.fail(f"{value!r} is too long: at most a hundred years", param, ctx)
        return found_ms / 1000


class Moment(click.ParamType[int]):
    """A time as commands print it, a date, or one relative to now; in Python milliseconds since 1970.

    Args:
        sign: What a bare `10m` means: -1 is ten minutes ago, 1 in ten minutes.
    """

    name = "time"

    def __init__(self, sign: int) -> None:
        self._sign = sign

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the time that a text says; a number is taken as it is."""
        if isinstance(value, int):
            return value
        found_ms = self._relative_ms(value.strip())
        if found_ms is None:
            found_ms = _absolute_ms(value.strip())
        if found_ms is None or not 0 <= found_ms <= MAX_TIME_MS:
            when = "ago" if self._sign < 0 else "from now"
            text = (
                f"{value!r} is no time: give it like 2026-11-24T10:00:00.000Z, '2026-11-24 10:00' or "
                f"2026-11-24 (UTC if it names no zone), or like 10m, 2h, 1d ({when})"
            )
            self.fail(text, param, ctx)
        return found_ms

    def _relative_ms(self, text: str) -> int | None:
        sign = self._sign
        if text == "now":
            return _now_ms()
        if text.endswith(" ago"):
            text, sign = text.removesuffix(" ago"), -1
        elif text.startswith("in "):
            text, sign = text.removeprefix("in "), 1
        found_ms = _duration_ms(text)
        return None if found_ms is None else _now_ms() + sign * found_ms


def _duration_ms(text: str) -> int | None:
    if len(text) > _MAX_CHARS or not _PARTS.fullmatch(text):
        return None
    return round(sum(float(count) * _UNIT_MS[unit] for count, unit in _PART.findall(text)))


def _absolute_ms(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


DURATION = Duration()
#: For what was: `10m` is ten minutes ago.
PAST = Moment(-1)
#: For what will be: `10m` is in ten minutes.
FUTURE = Moment(1)
