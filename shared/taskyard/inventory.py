"""The documents of what there is: tasks, queues and workers, as REST and the command line show them."""

from collections import Counter
from typing import Any

from taskyard.job import State, rfc3339
from taskyard.policy import limits
from taskyard.store import JobStore
from taskyard.store.controls import Limits
from taskyard.store.monitoring import QueueCounts


def task_documents(store: JobStore) -> list[dict[str, Any]]:
    """Return the tasks in the catalogue with the limits and pauses that hold, and who could run them."""
    pauses, set_limits = store.pauses("task"), store.limits()
    knowing = _alive_with(store, "tasks")
    return [
        {
            **task,
            **limits.describe(set_limits.get(task["name"], Limits())),
            "paused": pauses.get(task["name"]),
            "workers": knowing[task["name"]],
        }
        for task in store.tasks()
    ]


def queue_documents(store: JobStore) -> list[dict[str, Any]]:
    """Return the queues that workers have told or jobs are in, with what is in them and who reads them."""
    counts = {each.queue: each for each in store.counts()}
    pauses, reading = store.pauses("queue"), _alive_with(store, "queues")
    dead: Counter[str] = Counter()
    for (queue, _), count in store.dead_counts()[0].items():
        dead[queue] += count
    return [
        {
            **_counts(name, counts.get(name)),
            "paused": pauses.get(name),
            "workers": reading[name],
            "dead_letters": dead[name],
        }
        for name in sorted({*store.queues(), *counts, *pauses, *dead})
    ]


def worker_documents(store: JobStore) -> list[dict[str, Any]]:
    """Return the worker processes, with the number of jobs that each runs now."""
    return [_worker(info) for info in store.workers()]


def _alive_with(store: JobStore, field: str) -> Counter[str]:
    """Return of each name in a list that workers tell how many of those that live tell it."""
    return Counter(
        name
        for worker in store.workers()
        if worker["is_alive"] and not worker.get("is_lone")
        for name in worker.get(field, ())
    )


def _counts(name: str, counts: QueueCounts | None) -> dict[str, Any]:
    states = {} if counts is None else counts.states
    return {
        "queue": name,
        "states": {state.value: states.get(state, 0) for state in State},
        "oldest_pending_s": None if counts is None else counts.oldest_pending_s,
    }


def _worker(info: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's document; its times are kept in milliseconds since 1970."""
    return {
        name: rfc3339(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in info.items()
    }
