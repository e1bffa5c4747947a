"""How outcomes of jobs become replies, and which of these were delivered."""

import logging
import math
from collections.abc import Callable, Sequence

from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.errors import TaskyardError
from taskyard.job import Job
from taskyard.rabbitmq.confirms import Undelivered
from taskyard.rabbitmq.outgoing import Outgoing, check_texts
from taskyard.runtime.apart import Apart, all_or_each
from taskyard.store import JobStore
from taskyard.store.replies import OwedReply, ReplyAddress
from taskyard.submission import ROOM_BYTES, outcome
from taskyard.telemetry.metrics import REPLIES

logger = logging.getLogger(__name__)


class OutcomeSender:
    """Publishes the outcomes of jobs, each by itself.

    Args:
        store: Where the jobs are.
        publish: Publishes replies, and returns those that did not arrive.
        apart: Knows the jobs whose replies cannot be made.
        settings: How long a reply may be.
        max_bytes: Gives how long RabbitMQ lets one be, as far as is known.
    """

    def __init__(
        self,
        store: JobStore,
        publish: Callable[[Sequence[Outgoing]], Undelivered],
        apart: Apart,
        settings: Settings,
        *,
        max_bytes: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._publish = publish
        self._apart = apart
        self._most_bytes = settings.result_max_bytes + ROOM_BYTES
        self._max_bytes = max_bytes

    def send(self, owed: Sequence[OwedReply]) -> list[OwedReply]:
        """Publish; return what is done with, as all its replies are confirmed or have no queue.

        Raises:
            Unavailable: If store or RabbitMQ does not answer.
        """
        if not owed:
            return []
        jobs = self._jobs([each.job_id for each in owed])
        replies: list[Outgoing] = []
        written: set[str] = set()

        def add(entry: tuple[OwedReply, Job | None]) -> None:
            each, job = entry
            if job is not None:
                replies.extend(self._replies(each, job))
            written.add(each.job_id)

        self._apart.each(zip(owed, jobs, strict=True), add, key=lambda entry: entry[0].job_id)
        undelivered = self._publish(replies)
        refused = {reply.id for reply in undelivered.refused}
        REPLIES.labels("sent").inc(
            len(replies) - len(undelivered.no_queue) - len(undelivered.refused)
        )
        for reply in undelivered.no_queue:
            REPLIES.labels("no_queue").inc()
            facts = {"job_id": reply.id, "queue": reply.queue}
            logger.warning("outcome not told: the queue is gone", extra=facts)
        return [each for each in owed if each.job_id in written - refused]

    def _replies(self, owed: OwedReply, job: Job) -> list[Outgoing]:
        shown = self._catalogue.document(job)
        most_bytes = min(self._most_bytes, self._max_bytes())
        bodies = {
            is_submitter: outcome(shown, is_submitter=is_submitter, max_bytes=most_bytes)
            for is_submitter in {recipient.is_submitter for recipient in owed.recipients}
        }
        replies = [
            _reply(owed.job_id, job, recipient, bodies[recipient.is_submitter])
            for recipient in owed.recipients
        ]
        for reply in replies:
            check_texts(reply)
        return replies

    def _jobs(self, ids: Sequence[str]) -> list[Job | None]:
        """Read the jobs; one whose record cannot be read is given up, or it would hold up all others."""
        jobs: list[Job | None] = []
        for job_id, job in zip(ids, all_or_each(ids, self._store.get), strict=True):
            if isinstance(job, TaskyardError):
                REPLIES.labels("no_record").inc()
                logger.error("outcome not told: %s", job, extra={"job_id": job_id})
            jobs.append(None if isinstance(job, TaskyardError) else job)
        return jobs


def _reply(job_id: str, job: Job, recipient: ReplyAddress, body: bytes) -> Outgoing:
    return Outgoing(
        queue=recipient.reply_to,
        body=body,
        id=job_id,
        task=job.message.task,
        correlation_id=recipient.correlation_id or None,
        is_reply=True,
    )
