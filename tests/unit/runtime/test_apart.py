"""Each item apart: what fails rests, and the others go on."""

import pytest
from prometheus_client import REGISTRY

from taskyard.errors import BrokerUnavailable, QueueMismatch, StoreFault, StoreUnavailable
from taskyard.runtime.apart import Apart


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Does what it is asked, and fails at some of it."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.seen: list[str] = []

    def __call__(self, item: str) -> None:
        self.seen.append(item)
        if item in self.errors:
            raise self.errors[item]


def shown(what: str) -> float | None:
    """Return how many rest, as Prometheus is told."""
    return REGISTRY.get_sample_value("taskyard_resting", {"what": what})


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    "error",
    [ValueError("a bug"), StoreFault("odd"), QueueMismatch("other"), BrokerUnavailable("is full")],
)
def test_an_item_that_fails_does_not_hold_up_the_others(clock, error):
    """Before it or behind it."""
    apart, work = Apart("thing", clock=clock), Work(b=error)

    apart.each("abc", work, key=str)

    assert work.seen == ["a", "b", "c"]
    assert "the last b" in apart.problems()[0]


def test_what_failed_rests_longer_each_time(clock):
    """1 s, then doubled, and a minute at most; once it goes well all is forgotten."""
    apart, work = Apart("thing", clock=clock), Work(a=ValueError("a bug"))

    rests = []
    for _ in range(8):
        apart.each("a", work, key=str)
        rests.append(apart.rest_s("a"))
        clock.now += rests[-1] - 0.5
        apart.each("a", work, key=str)
        clock.now += 0.5
    assert (rests, len(work.seen)) == ([1, 2, 4, 8, 16, 32, 60, 60], 8)

    work.errors = {}
    apart.each("a", work, key=str)
    assert (len(work.seen), apart.next_s(), apart.rest_s("a"), apart.problems()) == (9, None, 0, [])


def test_what_meets_all_is_nobodys_own(clock):
    """A store that is away, and RabbitMQ as a whole, end the pass; no item rests for it."""
    is_away = True
    apart = Apart("thing", clock=clock, is_away=lambda: is_away)

    for error in (StoreUnavailable("away"), BrokerUnavailable("away")):
        work = Work(a=error)
        with pytest.raises(type(error)):
            apart.each("ab", work, key=str)
        assert work.seen == ["a"]
    assert apart.problems() == []


def test_what_is_never_met_again_is_forgotten(clock):
    """As a schedule that was removed while it rested."""
    apart = Apart("thing", clock=clock)
    apart.each(["gone"], Work(gone=ValueError("x")), key=str)

    clock.now += 700
    apart.each(["other"], Work(other=RuntimeError("y")), key=str)

    assert apart.problems() == ["thing: 1 rest after failures, the last other: y"]
    clock.now += 700
    assert (apart.problems(), len(apart), shown("thing")) == ([], 0, 0)


def test_what_is_known_to_be_gone_is_forgotten_at_once(clock):
    """It rests no longer, and nobody is told of it."""
    apart = Apart("thing", clock=clock)
    apart.each("ab", Work(a=ValueError("x"), b=ValueError("y")), key=str)

    apart.keep("b".__eq__)

    assert (len(apart), apart.rests("a"), apart.rests("b"), shown("thing")) == (1, False, True, 1)
