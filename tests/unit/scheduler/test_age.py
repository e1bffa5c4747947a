"""The chore that raises waiting jobs: which queues it asks for, how much of them, and what it notes."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.scheduler.chores.age import CALLS, LIMIT, Age
from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.confirms import Failure
from taskyard.runtime import per_queue
from taskyard.store.jobs import Ready
from taskyard.store.monitoring import QueueCounts


class Store:
    """Queues with many jobs that may rise, and what was asked and told."""

    def __init__(self, ages_s: Mapping[str, float | None], *, is_endless: bool = True) -> None:
        self._ages_s = ages_s
        self._is_endless = is_endless
        self.asked: list[tuple[str, int]] = []
        self.noted: list[tuple[str, int, list[str]]] = []

    def counts(self) -> list[QueueCounts]:
        return [
            QueueCounts(queue=queue, states={}, oldest_pending_s=age_s)
            for queue, age_s in self._ages_s.items()
        ]

    def age(self, queue: str, step_ms: int, limit: int) -> tuple[list[Ready], bool]:
        self.asked.append((queue, step_ms))
        count = limit if self._is_endless else 0
        first = len(self.asked) * limit
        ids = [f"{queue}-{n}" for n in range(first, first + count)]
        return [Ready(each, queue, "", 1, 0, 0, False, 7) for each in ids], True

    def mark_raised(self, queue: str, step_ms: int, ids: Sequence[str]) -> None:
        self.noted.append((queue, step_ms, list(ids)))


class Dispatcher:
    """Has some queues that take no messages."""

    def __init__(self, store: Store, *, is_ready: bool = True, full: Sequence[str] = ()) -> None:
        self.store = store
        self.publisher = self
        self.is_ready = is_ready
        self._full = full
        self.published: list[str] = []

    def publish_each(self, jobs: Sequence[Ready]) -> dict[int, Failure]:
        refused = {n for n, job in enumerate(jobs) if job.queue in self._full}
        self.published += [job.id for n, job in enumerate(jobs) if n not in refused]
        return {n: Failure(BrokerUnavailable("full"), may_arrive=False) for n in refused}


make: Any = Age


def test_only_queues_that_age_and_have_waited_are_asked_for():
    """Each by its own step."""
    store = Store({"young": 9.9, "old": 10.0, "never": 99.0, "fast": 2.0, "empty": None})
    dispatcher = Dispatcher(store)

    make(dispatcher, per_queue.parse("10,never=0,fast=2")).run_once()

    assert set(store.asked) == {("old", 10_000), ("fast", 2_000)}


def test_a_pass_raises_no_more_than_its_share():
    """A backlog of a million rises at a steady rate."""
    store = Store({"q": 99.0})
    dispatcher = Dispatcher(store)

    make(dispatcher, per_queue.parse("1")).run_once()

    assert len(dispatcher.published) == LIMIT
    assert store.noted == [("q", 1000, dispatcher.published)]


def test_a_pass_looks_no_longer_than_its_share():
    """Where most have started by the time of their step."""
    store = Store({"q": 99.0}, is_endless=False)

    make(Dispatcher(store), per_queue.parse("1")).run_once()

    assert len(store.asked) == CALLS


def test_a_copy_that_is_not_confirmed_is_not_noted():
    """Its queue rests, and another goes on."""
    store = Store({"full": 99.0, "good": 99.0})
    chore = make(Dispatcher(store, full=["full"]), per_queue.parse("1"))

    chore.run_once()
    asked = list(store.asked)
    chore.run_once()

    assert {queue for queue, _, _ in store.noted} == {"good"}
    assert {queue for queue, _ in asked} == {"full", "good"}
    assert {queue for queue, _ in store.asked[len(asked) :]} == {"good"}


def test_without_rabbitmq_no_step_is_made():
    """It would be lost for some seconds."""
    store = Store({"q": 99.0})

    make(Dispatcher(store, is_ready=False), per_queue.parse("1")).run_once()

    assert store.asked == []
