"""Chores whose items fail one by one, on doubles of store and RabbitMQ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.scheduler.chores.dead_letters import KeepDeadLetters
from services.scheduler.chores.replay import RunReplays
from taskyard import config
from taskyard.errors import BrokerUnavailable, StoreFault, StoreUnavailable
from taskyard.store.dead_letters import RetryResult
from taskyard.store.replays import ReplayBatch

CODE = [
    path
    for folder in ("services", "shared/taskyard")
    for path in sorted(Path(folder).rglob("*.py"))
    if "local_servers" not in path.parts
]
#: Who starts a thread that is no `Loop`, and why nothing ends it.
OWN_THREADS = {
    "lifecycle.py": "is what all others are made of",
    "connection.py": "serves pika, and connects anew after whatever that raises",
    "engine.py": "is told of each arrival and end within microseconds; all it does is under one guard",
    "hub.py": "ends when nobody listens, and subscribes anew after any error",
    "health.py": "is a server of the standard library, which outlives its requests",
    "provider.py": "ends with the process that it flushes",
}


class Publisher:
    """One that is always ready."""

    is_ready = True


class Store:
    """Fails at whatever is called bad."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.retried: list[str] = []
        self.purged: list[str] = []

    def take_replays(self, limit: int, lease_ms: int) -> Any:
        batches = [["a", "bad", "b"], ["c"]]
        return [ReplayBatch(f"r{n}", "", ids) for n, ids in enumerate(batches)], True

    def retry_sources(self, ids: Sequence[str]) -> Any:
        if "bad" in ids:
            raise self.error
        return []

    def retry(self, requests: Sequence[Any], *, replay_id: str) -> Any:
        self.retried += [each.id for each in requests]
        return [RetryResult(each.id, "unknown", "", "", 0) for each in requests]

    def dead_counts(self) -> Any:
        return {("bad", "invalid"): 1, ("good", "invalid"): 1}, {}

    def dead_bytes(self) -> Any:
        return {"bad": 10, "good": 10}

    def overdue_dead(self, queue: str, **_: Any) -> list[str]:
        if queue == "bad":
            raise self.error
        return [queue]

    def purge_dead(self, ids: list[str], **_: Any) -> list[str]:
        self.purged += ids
        return ids

    def removals(self, limit: int) -> list[Any]:
        return []

    def queues(self) -> list[str]:
        return []


class Dispatcher:
    """A store and a publisher."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.publisher = Publisher()


class Depths:
    """Queues without a message."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.is_ready = is_ready

    def look(self, names: Sequence[str], *, deadline_s: float) -> dict[str, Any]:
        return {}


make_replays: Any = RunReplays
make_keeper: Any = KeepDeadLetters


def test_a_job_that_cannot_be_replayed_holds_up_no_other():
    """Of its replay, or of another."""
    store = Store(StoreFault("odd"))
    replays = make_replays(Dispatcher(store))

    replays.run_once()

    assert sorted(store.retried) == ["a", "b", "c"]


def test_a_queue_of_dead_letters_that_fails_holds_up_no_other():
    """The others are kept within their limits."""
    store = Store(StoreFault("odd"))

    make_keeper(store, Depths(), config.load()).run_once()

    assert store.purged == ["good"]


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_queue_of_dead_letters_is_at_fault_only_while_rabbitmq_is_there(is_ready):
    """Without it the pass ends, and none rests for that."""
    store = Store(BrokerUnavailable("away"))
    keeper = make_keeper(store, Depths(is_ready=is_ready), config.load())

    if is_ready:
        keeper.run_once()
        assert store.purged == ["good"]
    else:
        with pytest.raises(BrokerUnavailable):
            keeper.run_once()


def test_a_store_that_is_away_ends_the_pass():
    """It is nobody's own trouble, and would meet each item."""
    store = Store(StoreUnavailable("away"))

    with pytest.raises(StoreUnavailable):
        make_replays(Dispatcher(store)).run_once()
    with pytest.raises(StoreUnavailable):
        make_keeper(store, Depths(), config.load()).run_once()


def test_every_thread_is_a_loop_or_says_why_not():
    """A loop survives whatever its passes and its waits raise; so must those that are none."""
    assert {path.name for path in CODE if "threading.Thread(" in path.read_text()} == set(
        OWN_THREADS
    )
