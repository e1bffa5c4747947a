"""What the engine tells Prometheus, with the labelled metrics looked up once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from services.worker.attempt import Attempt
from taskyard.metrics import (
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
from taskyard.store.attempts import Outcome, Verdict

__all__ = ["MESSAGES_SKIPPED", "claimed", "know", "lost", "settled"]

#: The label of tasks that this worker does not know: a message may name anything, a label must not.
UNKNOWN_TASK = "unknown"

_labelled: Any = lru_cache(maxsize=4096)(lambda metric, *labels: metric.labels(*labels))
_known: set[str] = set()


def know(tasks: Iterable[str]) -> None:
    """Let these tasks be told by their names."""
    _known.update(tasks)


def _label(task: str) -> str:
    return task if task in _known else UNKNOWN_TASK


def claimed(attempts: Sequence[Attempt], verdicts: Sequence[Verdict]) -> None:
    """Count the attempts that one claim started, and how long their jobs were ready before it."""
    CLAIM_BATCH.observe(len(verdicts))
    starts = Counter((attempt.queue_name, _label(attempt.task)) for attempt in attempts)
    for labels, count in starts.items():
        _labelled(JOBS_STARTED, *labels).inc(count)
        for metric in (LEASES_LOST, STALE_SETTLES):
            _labelled(
                metric, labels[0]
            )  # with 0: `increase()` does not see what a series begins with
    allowed = (verdict for verdict in verdicts if verdict.kind == "run")
    for attempt, verdict in zip(attempts, allowed, strict=True):
        waited_s = max(0, verdict.started_at_ms - verdict.ready_at_ms) / 1000
        _labelled(WAIT_SECONDS, attempt.queue_name, _label(attempt.task)).observe(waited_s)


def lost(attempt: Attempt) -> None:
    """Count an attempt that is stopped because another holds its job."""
    _labelled(LEASES_LOST, attempt.queue_name).inc()


def settled(entries: Sequence[tuple[Outcome, Attempt]], accepted: Sequence[bool]) -> None:
    """Count the attempts that one settle ended, and how long they ran."""
    SETTLE_BATCH.observe(len(entries))
    ends: Counter[tuple[str, str, str]] = Counter()
    for (outcome, attempt), is_accepted in zip(entries, accepted, strict=True):
        if not is_accepted:
            _labelled(STALE_SETTLES, attempt.queue_name).inc()
            continue
        task = _label(attempt.task)
        ends[attempt.queue_name, task, outcome.kind] += 1
        _labelled(RUN_SECONDS, attempt.queue_name, task).observe(attempt.ran_s)
    for labels, count in ends.items():
        _labelled(JOBS_FINISHED, *labels).inc(count)
