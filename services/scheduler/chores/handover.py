"""The chores that move jobs from the store to the queues, and records out of the store."""

import logging
import time

from services.scheduler import traces
from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.dispatcher import Dispatcher
from taskyard.runtime.apart import Apart
from taskyard.store import JobStore
from taskyard.telemetry.metrics import JOBS_PRUNED, JOBS_RELAYED, LATENESS_SECONDS

logger = logging.getLogger(__name__)

#: Jobs of one pass; a full pass is followed by the next at once.
PUBLISH_LIMIT = 500
PRUNE_LIMIT = 1000


class DispatchDue:
    """Brings waiting jobs whose time has come to their queues.

    What was taken and could not be published stays in the outbox, for `Relay`.

    Args:
        dispatcher: Where the jobs are, and how they are published.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._resting = Apart("queue", max_rest_s=QUEUE_REST_S)

    def run_once(self) -> float | None:
        """Publish what is due; return the seconds until the next job is, or None if none waits.

        Nothing is taken while RabbitMQ is away: there waiting jobs keep their order.
        """
        if not self._dispatcher.publisher.is_ready:
            return None
        ready, next_due_ms = self._dispatcher.store.take_due(PUBLISH_LIMIT)
        taken_at, taken_at_ns = time.monotonic(), time.time_ns()
        published = publish_apart(
            ready,
            self._dispatcher.publish_each,
            self._dispatcher.publisher,
            resting=self._resting,
        )
        took_s = time.monotonic() - taken_at
        traces.dispatched(published, "dispatch", taken_at_ns)
        for job in published:
            LATENESS_SECONDS.observe((job.now_ms - job.due_at_ms) / 1000 + took_s)
        return None if next_due_ms is None else next_due_ms / 1000


class Relay:
    """Publishes jobs that were recorded and never confirmed: whoever submitted them may have died between.

    A job that was published after all is claimed once; its second message is acknowledged as a duplicate.

    Args:
        dispatcher: Where the jobs are, and how they are published.
        older_than_s: How long a job must be unconfirmed, in seconds.
    """

    def __init__(self, dispatcher: Dispatcher, *, older_than_s: float) -> None:
        self._dispatcher = dispatcher
        self._older_than_ms = round(older_than_s * 1000)
        self._resting = Apart("queue of relay", max_rest_s=QUEUE_REST_S)

    def run_once(self) -> float | None:
        """Publish what is overdue; return 0 if there may be more."""
        if not self._dispatcher.publisher.is_ready:
            return None
        taken_at_ns = time.time_ns()
        ready = self._dispatcher.store.unpublished(self._older_than_ms, PUBLISH_LIMIT)
        published = publish_apart(
            ready,
            self._dispatcher.publish_each,
            self._dispatcher.publisher,
            resting=self._resting,
        )
        traces.dispatched(published, "relay", taken_at_ns)
        if published:
            JOBS_RELAYED.inc(len(published))
            logger.info("jobs published again", extra={"jobs": len(published)})
        return 0 if ready else None


class Prune:
    """Removes records whose time to be kept is over, in bounded steps.

    Args:
        store: Where they are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def run_once(self) -> float | None:
        """Remove some; return 0 if there may be more."""
        removed = self._store.prune(PRUNE_LIMIT)
        JOBS_PRUNED.inc(removed)
        return 0 if removed == PRUNE_LIMIT else None
