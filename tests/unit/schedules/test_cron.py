"""Fire times of cron expressions, above all where clocks change."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskyard.schedules.cron import Cron, zone

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = datetime(2026, 11, 1, tzinfo=UTC), datetime(2031, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(expression: str, after: str, count: int, timezone: ZoneInfo = NEW_YORK) -> list[str]:
    times = Cron(expression, timezone).times(utc(after))
    return [f"{next(times):%Y-%m-%d %H:%M}" for _ in range(count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "2026-11-24 10:01"),
        ("*/15 * * * *", "2026-11-24 10:15"),
        ("30 3 * * *", "2026-11-25 03:30"),
        ("0 12 * * MON-FRI", "2026-11-24 12:00"),
        ("0 0 L * *", "2026-11-30 00:00"),
        ("0 0 * * 5L", "2026-11-27 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("@hourly", "2026-11-24 11:00"),
        ("@daily", "2026-11-25 00:00"),
        ("@midnight", "2026-11-25 00:00"),
        ("@weekly", "2026-11-29 00:00"),
        ("@monthly", "2026-12-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("@Annually", "2027-01-01 00:00"),
    ],
)
def test_expressions(expression, expected):
    """Five fields, also with names and last days, and the short names."""
    assert fires(expression, "2026-11-24 10:00", 1, ZoneInfo("UTC")) == [expected]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("0 * * * * *", "must have 5 fields"),
        ("* * * *", "not 4"),
        ("", "not 0"),
        ("@dayly", "no such short name"),
        ("60 * * * *", "bad minute"),
        ("* * * * MON#6", "bad day-of-week"),
        ("²  * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 4,6,9,11 *", "bad day-of-month"),
    ],
)
def test_what_is_no_expression_is_refused(expression, reason):
    """With a text that says why; six fields are refused, for nobody knows where seconds stand."""
    with pytest.raises(ValueError, match=reason):
        Cron(expression, NEW_YORK)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "\0", "x" * 500])
def test_unknown_zones_are_refused(name):
    """Whatever way they are wrong."""
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)


def test_a_skipped_time_runs_at_the_first_moment_after_the_gap():
    """02:30 does not exist on 2027-03-14 in New York: it runs at 03:00, and the next day at 02:30."""
    assert fires("30 2 * * *", "2027-03-13 12:00", 2) == ["2027-03-14 07:00", "2027-03-15 06:30"]


def test_a_repeated_time_runs_once():
    """01:30 comes twice on 2027-11-07 in New York: it runs the first time."""
    assert fires("30 1 * * *", "2027-11-07 00:00", 2) == ["2027-11-07 05:30", "2027-11-08 06:30"]


def test_asked_from_inside_the_repeated_hour_it_does_not_look_back():
    """At the second 01:10 the first 01:30 has passed."""
    assert fires("30 1 * * *", "2027-11-07 06:10", 1) == ["2027-11-08 06:30"]


def test_every_half_hour_goes_by_real_time():
    """Also while the clock repeats an hour."""
    found = fires("*/30 * * * *", "2027-11-07 04:59", 5)

    assert [each[-5:] for each in found] == ["05:00", "05:30", "06:00", "06:30", "07:00"]


@pytest.mark.parametrize(
    ("expression", "after", "timezone", "expected"),
    [
        # 02:45 is followed by 03:45: 04:30 comes a quarter of an hour later than if it were whole.
        ("30 */2 * * *", "2027-09-25 14:00", "NZ-CHAT", "2027-09-25 14:45"),
        ("*/10 3 * * *", "2027-09-25 13:00", "NZ-CHAT", "2027-09-25 14:05"),
        # 02:00 is followed by 02:30, and in April by 01:30.
        ("15 */3 * * *", "2027-10-02 14:00", "Australia/Lord_Howe", "2027-10-02 16:15"),
        ("0 */2 * * *", "2027-04-03 15:05", "Australia/Lord_Howe", "2027-04-03 15:30"),
    ],
)
def test_a_shift_that_is_no_whole_hour_skips_no_time(expression, after, timezone, expected):
    """Nor one that does not come at a whole hour."""
    assert fires(expression, after, 1, ZoneInfo(timezone)) == [expected]


def test_there_is_an_end():
    """Past the last year there are no times, and no error."""
    assert None is Cron("0 0 1 1 *", ZoneInfo("UTC")).next(datetime(9999, 6, 1, tzinfo=UTC))


@cache
def _transitions() -> list[tuple[str, datetime]]:
    """Return each change of each zone's clock in the coming years, equal ones of several zones once."""
    seen: dict[tuple[datetime, timedelta | None, timedelta | None], str] = {}
    for name in sorted(available_timezones()):
        for moment in _changes(ZoneInfo(name)):
            before, after = (
                (moment + shift).astimezone(ZoneInfo(name)).utcoffset() for shift in (-HOUR, HOUR)
            )
            seen.setdefault((moment, before, after), name)
    return sorted((name, moment) for (moment, _, _), name in seen.items())


def _changes(timezone: ZoneInfo) -> list[datetime]:
    found = []
    start, step = FIRST, timedelta(days=7)
    while start < LAST:
        if _offset(start, timezone) != _offset(start + step, timezone):
            found.append(_bisect(start, start + step, timezone))
        start += step
    return found


def _bisect(low: datetime, high: datetime, timezone: ZoneInfo) -> datetime:
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        middle = middle.replace(second=0, microsecond=0)
        if _offset(middle, timezone) == _offset(low, timezone):
            low = middle
        else:
            high = middle
    return high


def _offset(moment: datetime, timezone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(timezone).utcoffset()


def _expected(day: datetime, hour: int, minute: int, timezone: ZoneInfo) -> datetime:
    """Return when a daily time comes on a day: the first moment at which the clock shows it, or more."""
    wall = day.replace(hour=hour, minute=minute, tzinfo=None)
    moment = wall.replace(tzinfo=timezone, fold=0).astimezone(UTC)
    while moment.astimezone(timezone).replace(tzinfo=None) < wall:
        moment += timedelta(minutes=1)
    # In a gap the offset from before it leads past the gap's end: go back to it.
    while (moment - timedelta(minutes=1)).astimezone(timezone).replace(tzinfo=None) >= wall:
        moment -= timedelta(minutes=1)
    return moment


@settings(max_examples=400, derandomize=True, deadline=None)
@given(data=st.data(), minutes=st.integers(-180, 180))
def test_daily_times_run_once_a_day_around_every_change(data, minutes):
    """In every zone: once on each day, a skipped time at the gap's end, a repeated one the first time."""
    name, moment = data.draw(st.sampled_from(_transitions()))
    timezone = ZoneInfo(name)
    wall = (moment + timedelta(minutes=minutes)).astimezone(timezone)
    first_day = wall.replace(tzinfo=None) - timedelta(days=2)
    days = [first_day + timedelta(days=n) for n in range(5)]
    expected = [_expected(day, wall.hour, wall.minute, timezone) for day in days]

    times = Cron(f"{wall.minute} {wall.hour} * * *", timezone).times(
        expected[0] - timedelta(minutes=1)
    )

    assert [next(times) for _ in days] == expected


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    data=st.data(),
    minute=st.integers(0, 59),
    minutes=st.integers(1, 59),
    hours=st.integers(1, 23),
)
def test_what_goes_by_real_time_runs_whenever_the_clock_shows_it(data, minute, minutes, hours):
    """In every zone: at each moment whose hour and minute match, whatever its clock does around it."""
    name, moment = data.draw(st.sampled_from(_transitions()))
    first = moment - timedelta(hours=30)
    clock = [
        (time, time.astimezone(ZoneInfo(name)))
        for time in (first + timedelta(minutes=n) for n in range(1, 60 * 60))
    ]
    hourly = [time for time, wall in clock if wall.hour % hours == 0 and wall.minute == minute]
    often = [time for time, wall in clock if wall.hour % hours == 0 and wall.minute % minutes == 0]

    for expression, expected in (
        (f"{minute} */{hours} * * *", hourly),
        (f"*/{minutes} */{hours} * * *", often),
    ):
        times = Cron(expression, ZoneInfo(name)).times(first)
        assert [next(times) for _ in expected] == expected


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    data=st.data(),
    expression=st.sampled_from(
        [
            "* * * * *",
            "*/20 * * * *",
            "5,35 1-3 * * *",
            "0 0-23 * * *",
            "30 */2 * * *",
            "59 23 * * *",
        ]
    ),
    minutes=st.integers(-300, 300),
)
def test_times_do_not_depend_on_where_one_asks_from(data, expression, minutes):
    """Asked from any moment near a change, the next time is the same that the whole row has there."""
    name, moment = data.draw(st.sampled_from(_transitions()))
    expression = Cron(expression, ZoneInfo(name))
    row = []
    for time in expression.times(moment - timedelta(hours=30)):
        row.append(time)
        if time > moment + timedelta(hours=30):
            break
    asked = moment + timedelta(minutes=minutes)

    assert row == sorted(set(row))
    assert min(time for time in row if time > asked) == expression.next(asked)
