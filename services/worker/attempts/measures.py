"""What the engine tells Prometheus, with the labelled metrics looked up once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from services.worker.attempts.running import RunningAttempt
from taskyard.store.attempts import Outcome
from taskyard.telemetry.metrics import (
    CLAIM_BATCH,
    JOBS_FINISHED,
    JOBS_STARTED,
    LEASES_LOST,
    MESSAGES_SKIPPED,
    RUN_SECONDS,
    SETTLE_BATCH,
    STALE_SETTLES,
    WAIT_SECONDS,
)

__all__ = ["MESSAGES_SKIPPED", "allow_labels", "claimed", "lost", "settled"]

#: The label of tasks that this worker does not know: a message may name anything, a label must not.
UNKNOWN_TASK = "unknown"

_labelled: Any = lru_cache(maxsize=4096)(lambda metric, *labels: metric.labels(*labels))
_allowed: set[str] = set()


def allow_labels(tasks: Iterable[str]) -> None:
    """Let metrics label these tasks by name; all others are `unknown`."""
    _allowed.update(tasks)


def _label(task: str) -> str:
    return task if task in _allowed else UNKNOWN_TASK


def claimed(attempts: Sequence[RunningAttempt], *, claims: int) -> None:
    """Count the attempts that a claim of `claims` jobs started, and how long these were ready before it."""
    CLAIM_BATCH.observe(claims)
    starts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for attempt in attempts:
        starts[attempt.queue_name, _label(attempt.task)].append(attempt.waited_ms / 1000)
    for (queue, task), waited_s in starts.items():
        _labelled(JOBS_STARTED, queue, task).inc(len(waited_s))
        _labelled(WAIT_SECONDS, queue, task).observe_all(waited_s)
        for metric in (LEASES_LOST, STALE_SETTLES):
            _labelled(metric, queue)  # with 0: `increase()` does not see what a series begins with


def lost(attempt: RunningAttempt) -> None:
    """Count an attempt that is stopped because another holds its job."""
    _labelled(LEASES_LOST, attempt.queue_name).inc()


def settled(entries: Sequence[tuple[Outcome, RunningAttempt]], accepted: Sequence[bool]) -> None:
    """Count the attempts that one settle ended, and how long they ran."""
    SETTLE_BATCH.observe(len(entries))
    ends: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (outcome, attempt), is_accepted in zip(entries, accepted, strict=True):
        if not is_accepted:
            _labelled(STALE_SETTLES, attempt.queue_name).inc()
        else:
            end = attempt.queue_name, _label(attempt.task), outcome.kind
            ends[end].append(attempt.ran_s)
    for (queue, task, kind), ran_s in ends.items():
        _labelled(JOBS_FINISHED, queue, task, kind).inc(len(ran_s))
        _labelled(RUN_SECONDS, queue, task).observe_all(ran_s)
