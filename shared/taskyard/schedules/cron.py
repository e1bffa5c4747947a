"""Fire times of cron expressions in a time zone; only here cronsim is known, with its traps."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

#: What the short names stand for.
SHORT_NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = 5
MAX_LENGTH = 200
#: From here on an expression must match some day; any day does.
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def zone(name: str) -> ZoneInfo:
    """Return the time zone of this name, such as `Europe/Berlin`.

    Raises:
        ValueError: If there is none; the text is for people.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        text = f"no time zone {name[:100]!r}; names are like Europe/Berlin or UTC"
        raise ValueError(text) from None


class Cron:
    """A cron expression in a time zone.

    A time that a clock change skips runs at the first moment after the gap; one that it repeats runs once,
    the first time. Where minute or hour begins with `*`, the expression goes by real time instead: each
    half hour is each half hour, also while the clock repeats one.

    Args:
        text: Five fields, or one of `SHORT_NAMES`.
        timezone: Whose wall clock it is about.

    Raises:
        ValueError: If it is no expression, or never matches; the text is for people.
    """

    def __init__(self, text: str, timezone: ZoneInfo) -> None:
        self._fields = _fields(text)
        self._zone = timezone
        self._check()

    def next(self, after: datetime) -> datetime | None:
        """Return the first fire time after `after`, in UTC; None if there is none for fifty years."""
        return next(self.times(after), None)

    def times(self, after: datetime) -> Iterator[datetime]:
        """Give the fire times after `after`, in UTC, in order."""
        try:
            yield from self._by_real_time(after) if self._goes_by_real_time else self._daily(after)
        except OverflowError:  # cronsim counts years, and has none after the last
            return

    @property
    def _goes_by_real_time(self) -> bool:
        minute, hour = self._fields.split()[:2]
        return minute.startswith("*") or hour.startswith("*")

    def _daily(self, after: datetime) -> Iterator[datetime]:
        for found in CronSim(self._fields, after.astimezone(self._zone)):
            moment = found.astimezone(UTC)
            # Asked from inside a repeated hour it may begin with a time of the first pass.
            if moment > after:
                after = moment
                yield moment

    def _by_real_time(self, after: datetime) -> Iterator[datetime]:
        """Give each moment at which the clock shows a time that matches.

        cronsim steps over times where a clock is shifted by no whole hour, or at none. It is never shown a
        shift: it goes by a clock that stands fast, for as long as the zone's does.
        """
        start = after.astimezone(UTC).replace(microsecond=0) + _SECOND
        while True:
            offset = self._offset(start)
            is_shifted, end = self._steady_until(start)
            for wall in CronSim(self._fields, start + offset - _SECOND):
                moment = wall - offset
                if moment >= end:
                    break
                yield moment
            else:
                return
            # Until two days before the next match no other offset has one; but a shift back may repeat some.
            start = end if is_shifted else max(end, moment - 2 * _DAY)

    def _steady_until(self, start: datetime) -> tuple[bool, datetime]:
        """Return whether the clock is shifted within a day, and when: the day's end if it is not."""
        low, high = start, start + _DAY
        if self._offset(high) == self._offset(low):
            return False, high
        while high - low > _SECOND:
            middle = low + (high - low) // (2 * _SECOND) * _SECOND
            if self._offset(middle) == self._offset(start):
                low = middle
            else:
                high = middle
        return True, high

    def _offset(self, moment: datetime) -> timedelta:
        offset = moment.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset

    def _check(self) -> None:
        try:
            first = self.next(_SOME_DAY)
        except (CronSimError, ValueError, AssertionError) as error:
            raise ValueError(f"no cron expression: {str(error).lower() or 'bad field'}") from None
        if first is None:
            raise ValueError("never matches: no year has such a day")


def _fields(text: str) -> str:
    text = text.strip()
    if text.startswith("@"):
        if text.lower() not in SHORT_NAMES:
            raise ValueError(f"no such short name; there are {', '.join(SHORT_NAMES)}")
        return SHORT_NAMES[text.lower()]
    count = len(text.split())
    # cronsim takes six fields, with seconds first; other programs have them last.
    if count != FIELDS:
        raise ValueError(
            f"must have {FIELDS} fields (minute, hour, day, month, weekday), not {count}"
        )
    return text
