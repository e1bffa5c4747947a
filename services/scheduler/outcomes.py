"""The chore that tells outcomes of jobs to who asked for them over AMQP."""

import logging
from collections.abc import Sequence

from taskyard.apart import Apart
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.errors import StoreFault
from taskyard.job import Job
from taskyard.metrics import REPLIES, REPLIES_OWED
from taskyard.rabbitmq.direct_replies import DirectReplies, is_direct
from taskyard.rabbitmq.outgoing import Outgoing, check_texts
from taskyard.store.replies import Owed
from taskyard.submission import outcome

logger = logging.getLogger(__name__)

#: Jobs of one pass, each with a reply of a megabyte at most; a full pass is followed by the next at once.
LIMIT = 50
#: What another sender waits for longer than the deadlines of both publishes, before it takes over. Seconds.
MARGIN_S = 2.0


class TellOutcomes:
    """Publishes the outcomes that the store says are owed, and has them forgotten once they are confirmed.

    A sender that dies in between leaves them to the next, so a reply comes at least once. One whose queue is
    gone is given up, and one that its queue refuses, or that could not be sent, after `REPLY_TTL`.

    Args:
        dispatcher: Where the jobs are, and what publishes.
        direct: What publishes replies without a queue.
        settings: How long to try.
    """

    def __init__(self, dispatcher: Dispatcher, direct: DirectReplies, settings: Settings) -> None:
        self._direct = direct
        self._store = dispatcher.store
        self._catalogue = Catalogue(dispatcher.store)
        self._publisher = dispatcher.publisher
        self._deadline_s = settings.publish_deadline_s
        self._result_max_bytes = settings.result_max_bytes
        self._ttl_ms = settings.reply_ttl * 1000
        self._apart = Apart("reply")

    def run_once(self) -> float | None:
        """Tell what is owed; return 0 if there may be more.

        Raises:
            Unavailable: If store or RabbitMQ does not answer; what was not confirmed is told later.
        """
        if not self._publisher.is_ready:
            return None
        again_ms = round((2 * self._deadline_s + MARGIN_S) * 1000)
        owed, count = self._store.take_replies(again_ms, LIMIT)
        REPLIES_OWED.set(count)
        if not owed:
            return None
        told = self._tell([each for each in owed if 0 <= each.age_ms <= self._ttl_ms])
        given_up = [each for each in owed if not 0 <= each.age_ms <= self._ttl_ms]
        for each in given_up:
            _give_up(each, "no_record" if each.age_ms < 0 else "too_old")
        self._store.replied([*told, *given_up])
        REPLIES_OWED.set(count - len(told) - len(given_up))
        return 0 if len(owed) == LIMIT else None

    def _tell(self, owed: Sequence[Owed]) -> list[Owed]:
        """Publish; return what is done with, as all its replies are confirmed or have no queue."""
        jobs = self._jobs([each.job_id for each in owed])
        replies: list[Outgoing] = []
        written: set[str] = set()

        def add(entry: tuple[Owed, Job | None]) -> None:
            each, job = entry
            if job is not None:
                replies.extend(_replies(each, job, self._outcome(job)))
            written.add(each.job_id)

        self._apart.each(zip(owed, jobs, strict=True), add, key=lambda entry: entry[0].job_id)
        by_queue = [reply for reply in replies if not is_direct(reply.queue)]
        direct = [reply for reply in replies if is_direct(reply.queue)]
        untaken = self._publisher.publish(by_queue, deadline_s=self._deadline_s)
        unsent = self._direct.publish(direct, deadline_s=self._deadline_s)
        no_queue = [*untaken.no_queue, *unsent.no_queue]
        refused = {reply.id for reply in (*untaken.refused, *unsent.refused)}
        REPLIES.labels("sent").inc(
            len(replies) - len(no_queue) - len(untaken.refused) - len(unsent.refused)
        )
        for reply in no_queue:
            REPLIES.labels("no_queue").inc()
            facts = {"job_id": reply.id, "queue": reply.queue}
            logger.warning("outcome not told: the queue is gone", extra=facts)
        return [each for each in owed if each.job_id in written - refused]

    def _outcome(self, job: Job) -> bytes:
        # The id may be that of a job of somebody else, whose secrets are not for who asks.
        shown = self._catalogue.document(job)
        return outcome(shown, result_max_bytes=self._result_max_bytes)

    def _jobs(self, ids: Sequence[str]) -> list[Job | None]:
        """Read the jobs; one whose record cannot be read is given up, or it would hold up all others."""
        try:
            return self._store.get(ids)
        except (ValueError, StoreFault):
            if len(ids) > 1:
                return [job for each in ids for job in self._jobs([each])]
            REPLIES.labels("no_record").inc()
            logger.exception("outcome not told: unreadable record", extra={"job_id": ids[0]})
            return [None]


def _replies(owed: Owed, job: Job, body: bytes) -> list[Outgoing]:
    replies = [
        Outgoing(
            queue=reply_to,
            body=body,
            id=owed.job_id,
            task=job.message.actor_name,
            correlation_id=correlation_id or None,
            is_reply=True,
        )
        for reply_to, correlation_id in owed.places
    ]
    for reply in replies:
        check_texts(reply)
    return replies


def _give_up(owed: Owed, why: str) -> None:
    REPLIES.labels(why).inc(len(owed.places))
    logger.warning("outcome not told: %s", why, extra={"job_id": owed.job_id})
