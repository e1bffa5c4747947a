"""How many deliveries a child asks for."""

import pytest

from services.worker.prefetch import ServiceTimes, is_off, wanted


@pytest.mark.parametrize(
    ("slots", "service_s", "prefetch"),
    [
        (8, 0.1, 16),  # twice the slots, for jobs of 100 ms
        (8, 3600, 16),  # and for any that are longer
        (8, 0.01, 24),
        (8, 0.002, 88),
        (8, 0.0001, 128),
        (8, 0, 128),  # no-ops
        (1, 60, 2),
        (1, 0.0001, 16),
    ],
)
def test_the_slots_and_twenty_milliseconds_of_work(slots, service_s, prefetch):
    """At least twice the slots, at most sixteen times."""
    assert wanted(slots, service_s) == prefetch


@pytest.mark.parametrize(
    ("current", "target", "off"),
    [(16, 16, False), (16, 31, False), (16, 32, True), (16, 9, False), (16, 8, True)],
)
def test_a_factor_of_two_is_worth_a_new_subscription(current, target, off):
    """Anything less is not."""
    assert is_off(current, target) == off


def test_the_mean_is_of_recent_jobs_only():
    """Since the last answer for that queue."""
    times = ServiceTimes()

    assert times.means({"a": (100, 50.0), "b": (15, 3.0)}) == {"a": 0.5}
    assert times.means({"a": (110, 99.0), "b": (16, 4.0)}) == {"b": 0.25}
    assert times.means({"a": (120, 90.0), "b": (16, 4.0)}) == {"a": 2.0}
    assert times.means({"a": (120, 90.0), "b": (16, 4.0)}) == {}
