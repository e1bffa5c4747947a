"""Attempts that have lost their job, on their way out of their slots."""

from typing import Any

import pytest

from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.settler import Settler
from services.worker.attempts.watch import Watch
from taskyard import config
from taskyard.store.attempts import Beat
from tests.polling import poll
from tests.unit.worker.doubles import attempt


class Consumer:
    """What was acknowledged, and what was handed back."""

    def __init__(self):
        self.acked = []
        self.handed_back = []

    def ack(self, deliveries):
        self.acked += deliveries

    def hand_back(self, deliveries):
        self.handed_back += deliveries


class PendingDeadLetters:
    """What was written."""

    def __init__(self):
        self.letters = []

    def write(self, letter, reason, delivery, then):
        self.letters.append(letter)
        then()


class Store:
    """What heartbeats told, and what is answered."""

    def __init__(self, **answer):
        self.told = []
        self._beat = Beat(**{"cancelled": [], "lost": [], **answer})

    def heartbeat(self, owner, info, lease_ms, running, *, over):
        self.told.append((list(running), over))
        return self._beat


class Child:
    """A settler, what watches over its attempts, and why it was to retire."""

    def __init__(self, **answer):
        self.consumer, self.dead_letters, self.store = (
            Consumer(),
            PendingDeadLetters(),
            Store(**answer),
        )
        self.retired: list[str] = []
        self.registry = AttemptRegistry()
        parts: dict[str, Any] = {"registry": self.registry, "dead_letters": self.dead_letters}
        settings = config.load(hard_limit_grace_s=0.01)
        self.settler = Settler(**parts, tasks={}, settings=settings, owner="w", wake=lambda: None)
        store: Any = self.store
        self.watch = Watch(
            self.registry, self.settler, store, settings, "w", over=lambda: 7, retire=self._retire
        )

    def _retire(self, reason: str) -> None:
        self.retired.append(reason)

    def is_retired(self):
        """Watch once more; return whether the child is to be replaced by now."""
        self.watch.run_once()
        return bool(self.retired)

    def outcomes(self):
        return [(outcome.token, outcome.kind) for outcome, _ in self.settler.take()]


def in_slot(**fields):
    """Return an attempt whose task runs, in code that no interrupt reaches."""
    running = attempt(**fields)
    running.enter(lambda: None)
    return running


@pytest.fixture
def child():
    return Child()


def overtaken(child):
    """Return an attempt in its slot, and the next one of its job, which has begun in the same child."""
    stale = in_slot(token=1)
    child.registry.add(stale)
    current = attempt(number=2, token=2, job_id=stale.id)
    child.registry.add(current)
    return stale, current


def test_an_overtaken_attempt_is_interrupted_and_not_told_to_run(child):
    """Heartbeats tell of the one that has the job."""
    stale, current = overtaken(child)

    child.watch.heartbeat({})

    assert (stale.is_lost, current.is_lost) == (True, False)
    assert child.store.told == [([(current.id, 2)], 7)]


def test_an_overtaken_attempt_that_does_not_stop_is_given_up(child):
    """Its slot would be taken for good: the child is replaced; the job's dead letter is not its to write."""
    stale, current = overtaken(child)

    poll(child.is_retired)

    assert child.outcomes() == [(1, "released")]
    assert child.dead_letters.letters == []
    assert stale in child.registry.unsettled()
    assert not current.is_ended


def test_an_overtaken_attempt_is_watched_until_its_end_is_told(child):
    """Whoever stops the child waits for it too."""
    stale, current = overtaken(child)
    child.settler.decide(stale, stale.interrupted and stale.interrupted())
    entries = child.settler.take()
    assert len(child.registry.unsettled()) == 2

    child.settler.settle(entries, ["stale"])

    assert [each is current for each in child.registry.unsettled()] == [True]


def test_a_lost_attempt_that_fails_for_good_writes_no_dead_letter():
    """The job is another's, who may complete it."""
    doomed = in_slot(max_retries=0)
    child = Child(lost=[doomed.id])
    child.registry.add(doomed)
    child.watch.heartbeat({})

    child.settler.decide(doomed, ValueError("it failed all the same"))

    assert child.dead_letters.letters == []
    assert child.outcomes() == [(1, "released")]


def test_a_lost_attempt_that_does_not_stop_is_given_up_as_lost():
    """It ends neither as cancelled nor as timed out: it counts for nothing."""
    stuck = in_slot(max_retries=0, timeout_s=0)
    child = Child(lost=[stuck.id])
    child.registry.add(stuck)
    child.watch.heartbeat({})

    poll(child.is_retired)

    assert (child.outcomes(), child.dead_letters.letters) == ([(1, "released")], [])


@pytest.mark.parametrize(("own", "shown"), [(2, 2), (None, 9)])
def test_a_dead_letter_has_the_priority_of_the_job(child, own, shown):
    """Not what its message had risen to by waiting; that of the message, where the job does not say."""
    failing = in_slot(max_retries=0)
    failing.message.options.priority = own
    failing.delivery.properties.priority = 9
    child.registry.add(failing)

    child.settler.decide(failing, ValueError("no"))

    assert [letter.priority for letter in child.dead_letters.letters] == [shown]


def test_what_the_store_took_back_is_logged(caplog):
    """By the child that never heard of it."""
    child = Child(given_back=["job-1"])

    child.watch.heartbeat({})

    (line,) = [each for each in caplog.records if "given back" in each.message]
    assert line.job_id == "job-1"
