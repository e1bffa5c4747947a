"""How many deliveries a child asks for."""

import pytest

from services.worker.consuming.prefetch import ServiceTimes, wanted
from taskyard.rabbitmq.in_hand import is_off


@pytest.mark.parametrize(
    ("slots", "service_s", "prefetch"),
    [
        (8, None, 8),  # not known yet
        (8, 3600, 8),  # nothing waits behind jobs that take long
        (8, 0.1, 10),
        (8, 0.01, 24),
        (8, 0.002, 88),
        (8, 0.0001, 128),
        (8, 0, 128),  # no-ops
        (1, 60, 1),
        (1, 0.0001, 16),
        (0, 0.0001, 0),  # no slot is there for them
    ],
)
def test_the_slots_and_twenty_milliseconds_of_work(slots, service_s, prefetch):
    """At least the slots, at most sixteen times as many."""
    assert wanted(slots, service_s) == prefetch


@pytest.mark.parametrize(
    ("current", "target", "off"),
    [
        (16, 16, False),
        (16, 31, False),
        (16, 32, True),
        (16, 9, False),
        (16, 8, True),
        (0, 0, False),
        (0, 1, True),
        (1, 0, True),
    ],
)
def test_a_factor_of_two_is_worth_a_new_subscription(current, target, off):
    """Anything less is not."""
    assert is_off(current, target) == off


def test_the_mean_follows_the_recent_jobs():
    """Sixteen of them weigh half."""
    times = ServiceTimes()

    assert times.means({"a": (16, 1.6)}) == {"a": pytest.approx(0.1)}
    assert times.means({"a": (32, 1.6 + 16)}) == {"a": pytest.approx((0.8 + 16) / 24)}
    assert times.means({"a": (2_000, 100.0)}) == {"a": pytest.approx(82.4 / 1_968, rel=1e-6)}


def test_it_is_unknown_until_there_were_jobs_enough():
    """Sixteen short ones, or one that takes long."""
    times = ServiceTimes()

    assert times.means({"short": (15, 0.5), "long": (1, 5.0)}) == {"long": 5.0}
    assert times.means({"short": (16, 0.8), "long": (1, 5.0)}).keys() == {"short", "long"}
