"""Fire times of cron expressions in a time zone; only here cronsim is known, with its traps."""

from collections.abc import Iterator
from datetime import UTC, datetime
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
            # cronsim counts years, and has none after the last.
            for found in CronSim(self._fields, after.astimezone(self._zone)):
                moment = found.astimezone(UTC)
                # Asked from inside a repeated hour it may begin with a time of the first pass.
                if moment > after:
                    after = moment
                    yield moment
        except OverflowError:
            return

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
