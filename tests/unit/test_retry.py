"""How long a job waits before it is tried again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.policy.backoff import retry_delay_s

seconds = st.floats(0, 1e9)


class Extreme(random.Random):
    """Chance that always falls on one end."""

    def __init__(self, end: float) -> None:
        super().__init__(0)
        self.end = end

    def uniform(self, a: float, b: float) -> float:
        return a + self.end * (b - a)


@pytest.mark.parametrize(
    ("failures", "ceiling_s"), [(0, 1), (1, 2), (2, 4), (5, 32), (10, 600), (5000, 600)]
)
def test_the_ceiling_doubles_up_to_the_longest_wait(failures, ceiling_s):
    """From the shortest wait on, doubled with each failure."""
    assert retry_delay_s(failures, 1, 600, Extreme(1.0)) == ceiling_s
    assert retry_delay_s(failures, 1, 600, Extreme(0.0)) == 1


@given(st.integers(0, 10_000), seconds, seconds, st.integers())
def test_the_wait_is_within_its_bounds(failures, min_s, max_s, seed):
    """Never above the longest wait, never below the shortest unless that is above the longest."""
    delay_s = retry_delay_s(failures, min_s, max_s, random.Random(seed))

    assert min(min_s, max_s) <= delay_s <= max_s


def test_waits_differ():
    """Jobs that failed together come back one by one."""
    rng = random.Random(1)

    delays = [retry_delay_s(3, 1, 600, rng) for _ in range(1000)]

    assert len(set(delays)) > 990
    assert min(delays) < 1.5
    assert max(delays) > 7.5


def test_no_shortest_wait_means_no_wait():
    """0 doubled is 0."""
    assert retry_delay_s(9, 0, 600, random.Random(1)) == 0


def test_a_negative_number_of_failures_is_refused():
    """It would be a mistake of ours."""
    with pytest.raises(ValueError):
        retry_delay_s(-1, 1, 2, random.Random(1))
