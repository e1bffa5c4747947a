"""The chore that has ready jobs rise in priority while they wait, so that none waits for ever."""

from collections import Counter

from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.dispatcher import Dispatcher
from taskyard.runtime import per_queue
from taskyard.runtime.apart import Apart
from taskyard.store.jobs import Ready
from taskyard.telemetry.metrics import JOBS_RAISED

#: Jobs of a queue that one pass raises at most: a long queue rises at a steady rate, the oldest first.
LIMIT = 200
#: Jobs of one call of the store, which takes about a millisecond, and most calls for a queue in a pass.
STEP = 50
CALLS = 20


class Age:
    """Publishes a copy of a waiting job's message, with a higher priority, for each step that it has waited.

    RabbitMQ gives no message another priority. The copy is of the same attempt, so whichever comes first
    runs, and the others are acknowledged as duplicates. A copy that is not confirmed is published again.

    Args:
        dispatcher: Where the jobs are, and how they are published.
        steps_s: How long a step of each queue is, in seconds; 0: its jobs do not rise.
    """

    def __init__(self, dispatcher: Dispatcher, steps_s: per_queue.PerQueue) -> None:
        self._dispatcher = dispatcher
        self._store = dispatcher.store
        self._steps_s = steps_s
        self._resting = Apart("queue of age", max_rest_s=QUEUE_REST_S)

    def run_once(self) -> None:
        """Raise those whose time has come.

        Raises:
            Unavailable: If the store or RabbitMQ does not answer.
        """
        if not self._dispatcher.publisher.is_ready:
            return
        due = [job for queue in self._old_queues() for job in self._due(queue)]
        published = publish_apart(
            due, self._dispatcher.publish_each, self._dispatcher.publisher, resting=self._resting
        )
        for queue, count in Counter(job.queue for job in published).items():
            ids = [job.id for job in published if job.queue == queue]
            self._store.mark_raised(queue, self._step_ms(queue), ids)
            JOBS_RAISED.labels(queue).inc(count)

    def _old_queues(self) -> list[str]:
        """Return the queues with jobs that have waited for a step; those that take no messages rest."""
        ages_s = {row.queue: row.oldest_pending_s or 0.0 for row in self._store.counts()}
        return [
            queue
            for queue, age_s in ages_s.items()
            if 0 < self._steps_s.of(queue) <= age_s and not self._resting.rests(queue)
        ]

    def _due(self, queue: str) -> list[Ready]:
        due: list[Ready] = []
        for _ in range(CALLS):
            found, is_more = self._store.age(queue, self._step_ms(queue), STEP)
            due += found
            if not is_more or len(due) >= LIMIT:
                break
        return due

    def _step_ms(self, queue: str) -> int:
        return self._steps_s.of(queue) * 1000
