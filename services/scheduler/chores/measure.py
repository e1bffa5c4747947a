"""The chore that measures how much work there is, in the store and in RabbitMQ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from taskyard.rabbitmq.inspect import Depth, QueueDepths
from taskyard.rabbitmq.topology import INTAKE_QUEUE, UNROUTED, dead_queue
from taskyard.store import JobStore
from taskyard.store.monitoring import QueueCounts
from taskyard.telemetry.metrics import (
    JOBS,
    OLDEST_PENDING_SECONDS,
    OVERDUE_SECONDS,
    QUEUE_CONSUMERS,
    QUEUE_MESSAGES,
    STORE_MEMORY_BYTES,
    STORE_MEMORY_LIMIT_BYTES,
    UNCONFIRMED_JOBS,
    set_all,
)

#: Queues of submissions, which no job names.
FRONT_DOOR = frozenset({INTAKE_QUEUE, dead_queue(INTAKE_QUEUE), UNROUTED})


class Measure:
    """Sets the gauges of jobs and queues; those of what is gone are removed.

    Args:
        store: Where the jobs are.
        depths: Where the queues are.
        deadline_s: Longest wait for RabbitMQ's answers, in seconds.
    """

    def __init__(self, store: JobStore, depths: QueueDepths, *, deadline_s: float) -> None:
        self._store = store
        self._depths = depths
        self._deadline_s = deadline_s

    def run_once(self) -> None:
        """Measure once.

        Raises:
            Unavailable: If the store or RabbitMQ does not answer.
        """
        self._set_vitals()
        counts = self._store.counts()
        self._set_jobs(counts)
        names = {row.queue for row in counts}
        depths = self._depths.read(
            sorted(names | {dead_queue(name) for name in names} | FRONT_DOOR),
            deadline_s=self._deadline_s,
        )
        self._set_queues(depths)

    def _set_vitals(self) -> None:
        vitals = self._store.vitals()
        UNCONFIRMED_JOBS.set(vitals.unconfirmed)
        OVERDUE_SECONDS.set(vitals.overdue_s)
        STORE_MEMORY_BYTES.set(vitals.memory_bytes)
        STORE_MEMORY_LIMIT_BYTES.set(vitals.memory_limit_bytes)

    def _set_jobs(self, counts: Sequence[QueueCounts]) -> None:
        set_all(JOBS, {(row.queue, state): n for row in counts for state, n in row.states.items()})
        set_all(
            OLDEST_PENDING_SECONDS, {(row.queue,): row.oldest_pending_s or 0.0 for row in counts}
        )

    def _set_queues(self, depths: Mapping[str, Depth]) -> None:
        set_all(QUEUE_MESSAGES, {(name,): depth.messages for name, depth in depths.items()})
        # A worker whose slots are all busy for long consumes nothing meanwhile, and will again.
        full = Counter(queue for worker in self._store.workers() for queue in _full_queues(worker))
        set_all(
            QUEUE_CONSUMERS,
            {(name,): max(depth.consumers, full[name]) for name, depth in depths.items()},
        )


def _full_queues(worker: Mapping[str, Any]) -> Sequence[str]:
    return worker["queues"] if worker["is_alive"] and worker.get("is_full") else []
