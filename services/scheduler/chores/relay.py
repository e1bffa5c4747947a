"""The chore that publishes jobs again whose messages were never confirmed."""

import logging
import time

from services.scheduler import traces
from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.dispatcher import Dispatcher
from taskyard.runtime.apart import Apart
from taskyard.telemetry.metrics import JOBS_RELAYED

logger = logging.getLogger(__name__)

#: Jobs of one pass; a full pass is followed by the next at once.
LIMIT = 500


class Relay:
    """Publishes jobs that were recorded and never confirmed: their submitter may have died in between.

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
        ready = self._dispatcher.store.unpublished(self._older_than_ms, LIMIT)
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
