"""The chore that brings waiting jobs to their queues when their time has come."""

import time

from services.scheduler import traces
from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.dispatcher import Dispatcher
from taskyard.runtime.apart import Apart
from taskyard.telemetry.metrics import LATENESS_SECONDS

#: Jobs of one pass; a full pass is followed by the next at once.
LIMIT = 500


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
        ready, next_due_ms = self._dispatcher.store.take_due(LIMIT)
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
