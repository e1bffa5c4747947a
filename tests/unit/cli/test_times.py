"""Times and durations as the command line takes them."""

import re
import time
from datetime import UTC, datetime

import click
import pytest

from taskyard.cli.times import DURATION, FUTURE, PAST
from taskyard.job import rfc3339

MINUTE_MS, DAY_MS = 60_000, 86_400_000


def read(kind, text):
    """Return what a text is read as."""
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-24T10:00:00.123Z", "2026-11-24T10:00:00.123Z"),
        ("2026-11-24T11:00:00+01:00", "2026-11-24T10:00:00.000Z"),
        ("2026-11-24T10:00:00", "2026-11-24T10:00:00.000Z"),
        ("2026-11-24 10:00", "2026-11-24T10:00:00.000Z"),
        ("2026-11-24", "2026-11-24T00:00:00.000Z"),
    ],
)
def test_times_are_read_as_they_are_printed_and_without_their_ends(text, time):
    """What names no zone is in UTC, as all that is printed."""
    assert rfc3339(read(PAST, text)) == time
    assert rfc3339(read(FUTURE, text)) == time


@pytest.mark.parametrize(
    ("kind", "text", "after_ms"),
    [
        (PAST, "now", 0),
        (PAST, "10m", -10 * MINUTE_MS),
        (FUTURE, "10m", 10 * MINUTE_MS),
        (PAST, "1d", -DAY_MS),
        (FUTURE, "1h30m", 90 * MINUTE_MS),
        (FUTURE, "2h ago", -120 * MINUTE_MS),
        (PAST, "in 2h", 120 * MINUTE_MS),
    ],
)
def test_times_may_be_relative(kind, text, after_ms):
    """To what was or to what will be, as the option means it or the words say."""
    before = time.time() * 1000
    found = read(kind, text)

    assert before - 1 <= found - after_ms <= time.time() * 1000 + 1


@pytest.mark.parametrize(
    "text", ["", "soon", "10", "yesterday", "2026-13-01", "1969-12-31", "9" * 41 + "d", "-5m", "٣m"]
)
def test_what_is_no_time_is_told_with_what_is_one(text):
    """The text of the error names the forms that are taken."""
    forms = "2026-11-24T10:00:00.000Z, '2026-11-24 10:00' or 2026-11-24 (UTC"
    with pytest.raises(click.BadParameter, match=re.escape(forms)):
        read(PAST, text)


def test_a_time_from_now_names_its_direction():
    """Since the same text means another time elsewhere."""
    with pytest.raises(click.BadParameter, match=r"10m, 2h, 1d \(from now\)"):
        read(FUTURE, "soon")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        ("0", 0),
        ("1.5", 1.5),
        ("1m", 60),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2w", 1_209_600),
    ],
)
def test_durations_are_seconds_or_have_units(text, seconds):
    """Several parts add up."""
    assert read(DURATION, text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "1m 2s", "nan", "inf", "1e3", "5y", "9" * 50])
def test_what_is_no_duration_is_told_with_what_is_one(text):
    """The text of the error names the forms that are taken."""
    with pytest.raises(click.BadParameter, match="give seconds, or like 90s, 10m, 1h30m, 2d"):
        read(DURATION, text)


def test_a_duration_has_an_end():
    """Longer ones are mistakes."""
    with pytest.raises(click.BadParameter, match="at most a hundred years"):
        read(DURATION, "40000d")


def test_times_are_told_back_the_same():
    """What a command prints may be pasted into the next one."""
    now = rfc3339(round(datetime.now(UTC).timestamp() * 1000))

    assert rfc3339(read(PAST, now)) == now
