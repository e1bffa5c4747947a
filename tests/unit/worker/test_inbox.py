"""Deliveries wait by priority, then in the order of their arrival."""

import random
import threading

import pytest

from services.worker.consuming.inbox import Inbox
from tests.unit.worker.doubles import delivery


@pytest.fixture
def inbox():
    return Inbox(lambda: None)


def bodies(deliveries):
    return [each.body for each in deliveries]


def test_higher_priorities_come_first_and_equal_ones_in_order(inbox):
    """Whatever the order of arrival is."""
    arrivals = [(n % 10, b"%d" % n) for n in range(100)]
    random.Random(3).shuffle(arrivals)
    for priority, body in arrivals:
        inbox.put(delivery(body, priority=priority))

    assert len(inbox) == 100
    expected = [body for _, body in sorted(arrivals, key=lambda arrival: -arrival[0])]
    assert bodies(inbox.take(30) + inbox.take(1_000)) == expected
    assert len(inbox) == 0


def test_no_more_are_taken_than_asked_for(inbox):
    """And none from an empty one."""
    for n in range(5):
        inbox.put(delivery(b"%d" % n))

    assert bodies(inbox.take(2)) == [b"0", b"1"]
    assert inbox.take(0) == []
    assert len(inbox) == 3


@pytest.mark.parametrize(("given", "counts"), [(None, 5), (0, 0), (9, 9), (10, 9), (255, 9)])
def test_the_priority_is_within_the_scale(given, counts):
    """Any other client may send any octet; without one it is the default."""
    assert delivery(priority=given).priority == counts


def test_what_is_removed_is_returned(inbox):
    """The rest stays in order."""
    for n in range(10):
        inbox.put(delivery(b"%d" % n, queue="a" if n % 2 else "b", priority=n % 3))

    removed = inbox.remove(lambda each: each.queue == "b")

    assert set(bodies(removed)) == {b"0", b"2", b"4", b"6", b"8"}
    assert bodies(inbox.take(10)) == [b"5", b"1", b"7", b"3", b"9"]


def test_each_arrival_is_told():
    """After the delivery can be taken."""
    told = []
    filled = Inbox(lambda: told.append(len(filled)))

    filled.put(delivery())
    filled.put(delivery())

    assert told == [1, 2]


def test_threads_may_put_take_and_drop_at_once(inbox):
    """Each delivery comes out once."""
    out: list[bytes] = []

    def put(start):
        for n in range(500):
            inbox.put(delivery(b"%d" % (start + n), priority=n % 10))

    def take():
        while len(out) < 1_500:
            out.extend(bodies(inbox.take(7)))
            out.extend(bodies(inbox.remove(lambda each: each.priority == 4)))

    threads = [threading.Thread(target=put, args=(start,)) for start in (0, 500, 1_000)]
    threads.append(threading.Thread(target=take))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert 1_500 == len(out) == len(set(out))
