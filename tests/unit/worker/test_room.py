"""What a child takes from its queues follows the slots that are free for it."""

from typing import Any, cast

import pytest

from services.worker.consuming.inbox import Inbox
from services.worker.consuming.room import LONG_S, Room
from tests.unit.worker.doubles import attempt, delivery

SLOTS = 2


class Consumer:
    """Notes what may come, and what goes back."""

    def __init__(self):
        self.inbox = Inbox(lambda: None)
        self.ahead = {}
        self.held = []
        self.handed_back = []

    def fit(self, ahead, held):
        self.ahead, self.held = dict(ahead), list(held)

    def hand_back(self, deliveries):
        self.handed_back += deliveries


class Settler:
    """Has times of attempts that are over."""

    def __init__(self):
        self.served = {}
        self.service_s = 1.0


class Registry:
    """Has attempts under way."""

    def __init__(self):
        self.attempts = []

    def unsettled(self):
        return list(self.attempts)

    @property
    def busy(self):
        return len(self.attempts)


class Isolation:
    """Has what rests."""

    def __init__(self):
        self.resting = []

    def deliveries(self):
        return self.resting


class PendingDeadLetters:
    """Has letters that wait."""

    def __init__(self):
        self.waiting = []

    def deliveries(self):
        return self.waiting


class Yard:
    """A room with what it looks at."""

    def __init__(self, *queues):
        self.consumer, self.settler, self.dead_letters = Consumer(), Settler(), PendingDeadLetters()
        self.registry, self.isolation = Registry(), Isolation()
        self.is_store_away = False
        self.room = Room(
            consumer=cast(Any, self.consumer),
            settler=cast(Any, self.settler),
            registry=cast(Any, self.registry),
            isolation=cast(Any, self.isolation),
            dead_letters=cast(Any, self.dead_letters),
            slots=SLOTS,
            queues=queues,
            is_store_away=lambda: self.is_store_away,
        )

    def run(self, count, *, for_s=0.0, queue="default"):
        """Have attempts that have run for so long."""
        for _ in range(count):
            running = attempt()
            running.queue_name = queue
            running.enter()
            running.started -= for_s
            self.registry.attempts.append(running)

    def look(self):
        """Look once; return what may come of each queue."""
        self.room.look()
        return self.consumer.ahead


@pytest.fixture
def yard():
    return Yard("a")


LONG = LONG_S + 1


def test_slots_with_long_jobs_are_there_for_nothing_else(yard):
    """And what they hold does not count, nor what waits for RabbitMQ or rests."""
    assert yard.look() == {"a": 2}

    yard.run(1)
    assert yard.look() == {"a": 2}  # it may be over at any time

    yard.registry.attempts.clear()
    yard.run(1, for_s=LONG)
    yard.dead_letters.waiting, yard.isolation.resting = [delivery()], [delivery()]
    assert yard.look() == {"a": 1}
    running = [each.delivery for each in yard.registry.attempts]
    assert yard.consumer.held == running + yard.dead_letters.waiting + yard.isolation.resting

    yard.run(1, for_s=LONG)
    assert (yard.look(), yard.room.is_full) == ({}, True)


def test_jobs_of_a_slow_queue_are_long_from_the_start(yard):
    """None waits behind them, not even for half a second."""
    yard.settler.served = {"default": (3, 9.0)}
    yard.run(2)

    assert yard.look() == {}


def test_queues_get_their_turns(yard):
    """One a look, once a slot is free: who was opened last comes last the next time."""
    yard = Yard("a", "b", "c")
    yard.run(2, for_s=LONG)
    assert yard.look() == {}
    order = []
    for _ in range(4):
        freed = yard.registry.attempts.pop()
        order.append(list(yard.look()))
        yard.registry.attempts.append(freed)
        assert yard.look() == {}
    assert order == [["a"], ["b"], ["c"], ["a"]]

    yard.registry.attempts.clear()
    opened = [list(yard.look()) for _ in range(3)]
    assert opened == [["b"], ["b", "c"], ["b", "c", "a"]]
    assert not yard.room.is_full


def test_an_idle_slot_does_not_wait_for_many_turns():
    """While those that are open have nothing, twice as many are open at each look."""
    yard = Yard(*"abcdefgh")
    yard.run(2, for_s=LONG)
    yard.look()
    yard.registry.attempts.clear()

    assert [len(yard.look()) for _ in range(5)] == [1, 2, 4, 8, 8]


def put(yard, count, *, age_s):
    for n in range(count):
        waiting = delivery(b"%d" % n)
        waiting.arrived -= age_s
        yard.consumer.inbox.put(waiting)


def test_what_waits_in_vain_goes_back(yard):
    """Once two looks in turn say so: a process that stood still has seen all jobs run for long."""
    yard.run(2, for_s=LONG)
    put(yard, 3, age_s=LONG)

    yard.look()
    assert yard.consumer.handed_back == []

    yard.look()
    assert len(yard.consumer.handed_back) == 3
    assert len(yard.consumer.inbox) == 0


def test_what_has_come_just_now_may_wait(yard):
    """A slot may become free."""
    yard.run(2, for_s=LONG)
    put(yard, 2, age_s=0)
    for _ in range(3):
        yard.look()

    assert yard.consumer.handed_back == []


def test_a_seconds_work_of_the_other_slots_may_wait(yard):
    """The first ones; the rest would wait for longer."""
    yard.settler.service_s = 0.1
    yard.run(1, for_s=LONG)
    yard.run(1)
    put(yard, 15, age_s=LONG)

    yard.look()
    yard.look()

    assert [each.body for each in yard.consumer.handed_back] == [b"%d" % n for n in range(10, 15)]


def test_queues_that_bring_too_much_together_take_turns():
    """What goes back does not come again at once, and each brings something in its turn."""
    yard = Yard("a", "b", "c")
    yard.settler.service_s = 0.4
    yard.run(2)
    put(yard, 7, age_s=LONG)

    assert list(yard.look()) == ["a", "b", "c"]
    assert (yard.look(), len(yard.consumer.handed_back)) == ({}, 2)

    order = []
    for _ in range(4):
        assert yard.look() == {}  # enough waits
        yard.consumer.inbox.take(100)
        order.append(list(yard.look()))
        put(yard, 2, age_s=0)
    assert order == [["a"], ["b"], ["c"], ["a"]]
    assert len(yard.consumer.handed_back) == 2

    yard.consumer.inbox.take(100)
    for _ in range(3):
        yard.look()
    assert sorted(yard.consumer.ahead) == ["a", "b", "c"]


def test_nothing_goes_back_while_a_slot_is_free(yard):
    """It waits for the store's answer then, and for no slot."""
    yard.run(1, for_s=LONG)
    put(yard, 3, age_s=LONG)
    for _ in range(3):
        yard.look()

    assert yard.consumer.handed_back == []


def test_without_the_store_all_goes_back(yard):
    """Others may know one; once it is there all is as before."""
    put(yard, 3, age_s=0)
    yard.is_store_away = True
    assert (yard.look(), len(yard.consumer.handed_back)) == ({}, 3)

    yard.is_store_away = False
    assert yard.look() == {"a": 2}


@pytest.mark.parametrize("is_full", [True, False])
def test_a_slot_that_becomes_free_is_seen_at_once(yard, is_full):
    """Where all were busy for long; else there is no hurry."""
    yard.run(SLOTS if is_full else 0, for_s=LONG)
    yard.look()

    yard.room.freed()

    assert yard.room.await_look(0) == is_full
