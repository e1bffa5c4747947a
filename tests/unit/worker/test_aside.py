"""What the store fails at: it rests, is asked for again, and none of it is lost or told of for ever."""

from typing import Any

import pytest
from pika.spec import BasicProperties
from prometheus_client import REGISTRY

from services.worker.attempts.aside import Aside
from services.worker.consuming.inbox import Delivery
from taskyard.errors import StoreFault

make_delivery: Any = Delivery
ODD = StoreFault("odd")


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Channel:
    """Where deliveries come from."""

    is_open = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def aside(clock):
    return Aside(clock)


@pytest.fixture
def channel():
    return Channel()


def delivery(channel, tag=1):
    return make_delivery("q", tag, b"", BasicProperties(), channel)


def shown(what):
    """Return how many rest, as Prometheus is told."""
    return REGISTRY.get_sample_value("taskyard_resting", {"what": what})


def test_a_delivery_whose_channel_is_gone_is_forgotten(aside, clock, channel):
    """With its failures: nobody is told of what comes again by itself."""
    aside.put_claim("a", delivery(channel), ODD)
    assert (len(aside.problems()), shown("claim")) == (1, 1)

    channel.is_open = False
    clock.now += 2

    assert (aside.is_due, aside.take_claim(), aside.next_s()) == (False, None, None)
    assert (len(aside), aside.problems(), shown("claim")) == (0, [], 0)


def test_each_delivery_of_a_job_is_kept(aside, clock, channel):
    """They are taken one after the other, also where the first one goes well."""
    first, second = delivery(channel, 1), delivery(channel, 2)
    for each in (first, second):
        aside.put_claim("a", each, ODD)
    assert (aside.take_claim(), aside.held()) == (None, [first, second])

    clock.now += 2
    assert aside.take_claim() is first
    aside.went_well(claims=["a"], ends=[])

    assert aside.is_due
    assert aside.take_claim() is second
    assert (aside.take_claim(), aside.problems()) == (None, [])


def test_what_fails_again_rests_longer(aside, clock, channel):
    """Though it was taken meanwhile, and others were looked at."""
    aside.put_claim("a", delivery(channel), ODD)
    rests = []
    for _ in range(3):
        rests.append(aside.next_s())
        clock.now += rests[-1]
        taken = aside.take_claim()
        assert not aside.is_due
        aside.put_claim("a", taken, ODD)

    assert rests == [1, 2, 4]
