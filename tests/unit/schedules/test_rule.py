"""What a schedule may say, and its fire times."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskyard.errors import InvalidSubmission
from taskyard.message import ID_PATTERN
from taskyard.schedules.rule import (
    Schedule,
    jitter_ms,
    job_id,
    last_times,
    next_time,
    parse,
    preview,
)

MINUTE_MS = 60_000
NOON_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z


def schedule(**fields) -> Schedule:
    timing = {} if "every_s" in fields or "cron" in fields else {"cron": "* * * * *"}
    return parse({"name": "s", "task": "t", **timing, **fields})


def faults(**fields) -> list[tuple[str, str]]:
    with pytest.raises(InvalidSubmission) as caught:
        parse({"name": "s", "task": "t", **fields})
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("/cron", "missing")),
        ({"cron": "* * * * *", "every_s": 5}, ("/every_s", "conflict")),
        ({"cron": "* * * * *", "anchor_at": "2026-11-24T10:00:00Z"}, ("/anchor_at", "conflict")),
        ({"cron": "* * * * * *"}, ("/cron", "value_error")),
        ({"cron": "@daily", "timezone": "Mars"}, ("/timezone", "value_error")),
        ({"every_s": 0.5}, ("/every_s", "greater_than_equal")),
        ({"every_s": "5"}, ("/every_s", "float_type")),
        ({"every_s": 5, "anchor_at": "2026-11-24T10:00:00"}, ("/anchor_at", "value_error")),
        ({"every_s": 5, "missed": "some"}, ("/missed", "literal_error")),
        ({"every_s": 5, "overlap": "no"}, ("/overlap", "literal_error")),
        ({"every_s": 5, "missed_max": 1001}, ("/missed_max", "less_than_equal")),
        ({"every_s": 5, "jitter_s": -1}, ("/jitter_s", "greater_than_equal")),
        ({"every_s": 5, "priority": 10}, ("/priority", "less_than_equal")),
        ({"every_s": 5, "name": "a b"}, ("/name", "string_pattern_mismatch")),
        ({"every_s": 5, "run_at": "2026-11-24T10:00:00Z"}, ("/run_at", "extra_forbidden")),
    ],
)
def test_what_is_refused(fields, expected):
    """With a pointer to the field."""
    assert faults(**fields) == [expected]


def test_every_fault_is_named():
    """All at once."""
    found = faults(cron="x", timezone="Mars", missed="some", every_s=1)

    assert {pointer for pointer, _ in found} == {"/cron", "/timezone", "/missed", "/every_s"}


def test_an_interval_counts_from_its_anchor():
    """Before and after it."""
    found = schedule(every_s=90, anchor_at="2026-11-24T12:00:00Z")

    assert preview(found, NOON_MS - 1, anchor_ms=7, count=2) == [NOON_MS, NOON_MS + 90_000]
    assert next_time(found, NOON_MS - 90_001, anchor_ms=7) == NOON_MS - 90_000
    assert next_time(found, NOON_MS, anchor_ms=7) == NOON_MS + 90_000


def test_without_an_anchor_it_counts_from_the_creation():
    """To the millisecond."""
    assert next_time(schedule(every_s=5), NOON_MS + 1000, anchor_ms=NOON_MS + 123) == NOON_MS + 5123


@settings(derandomize=True, deadline=None)
@given(
    fields=st.sampled_from(
        [{"every_s": 1}, {"every_s": 7.5}, {"cron": "*/7 * * * *"}, {"cron": "@daily"}]
    ),
    span_min=st.integers(0, 3000),
    limit=st.integers(1, 20),
)
def test_the_last_times_are_the_end_of_all_times(fields, span_min, limit):
    """However they are searched for."""
    found = schedule(**fields)
    until_ms = NOON_MS + span_min * MINUTE_MS
    every = []
    time_ms = next_time(found, NOON_MS, anchor_ms=0)
    while time_ms is not None and time_ms <= until_ms:
        every.append(time_ms)
        time_ms = next_time(found, time_ms, anchor_ms=0) if len(every) < 3000 else None

    if len(every) < 3000:
        last = last_times(found, NOON_MS, until_ms, anchor_ms=0, limit=limit)
        assert every[-limit:] == last


def test_jitter_is_bounded_fixed_and_spread():
    """The same for all who ask, other for other times and names."""
    one, other = schedule(jitter_s=30, name="one"), schedule(jitter_s=30, name="other")
    found = [jitter_ms(one, time_ms) for time_ms in range(0, 100 * MINUTE_MS, MINUTE_MS)]

    assert found == [jitter_ms(one, t) for t in range(0, 100 * MINUTE_MS, MINUTE_MS)]
    assert 0 <= min(found) < 5000
    assert 25_000 < max(found) <= 30_000
    assert jitter_ms(other, MINUTE_MS) != jitter_ms(one, MINUTE_MS)
    assert jitter_ms(schedule(), MINUTE_MS) == 0


def test_ids_are_made_of_name_and_time():
    """They keep to the pattern of ids, also with the longest name."""
    assert job_id("s", NOON_MS) == "s:20261124T120000Z"
    assert job_id("s", NOON_MS + 7) == "s:20261124T120000.007Z"
    assert re.fullmatch(ID_PATTERN, job_id("n" * 100, NOON_MS + 7))
