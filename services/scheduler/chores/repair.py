"""The chore that accounts for every job, again and again, and brings back what was lost."""

import logging
from collections import Counter
from collections.abc import Sequence

from services.scheduler.chores.lost_messages import GoneCopies, LostMessages
from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.consistency.messages import Lack, MessageWatch, prefetched
from taskyard.consistency.records import RecordWalk
from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.runtime.apart import Apart
from taskyard.store.consistency import Inconsistency
from taskyard.store.jobs import Ready
from taskyard.telemetry.metrics import JOBS_REPAIRED, JOBS_UNACCOUNTED, set_all

logger = logging.getLogger(__name__)

#: Jobs that one pass publishes again at most.
LIMIT = 5_000


class Repair:
    """Tells how many jobs are not accounted for, and puts them right if it may.

    What is wrong is believed when two looks in a row say so. A false alarm does no harm: the second message
    of an attempt is acknowledged and not run.

    Args:
        dispatcher: Where the jobs are, and how they are published again.
        depths: Where the queues are.
        deadline_s: Longest wait for RabbitMQ's answers, in seconds.
        after_s: How long a job must be ready before its message can count as missing, in seconds.
        is_on: Whether it may put right what it finds.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        depths: QueueDepths,
        *,
        deadline_s: float,
        after_s: float,
        is_on: bool = True,
    ) -> None:
        self._dispatcher = dispatcher
        self._store = dispatcher.store
        self._depths = depths
        self._deadline_s = deadline_s
        self._is_on = is_on
        self._resting = Apart("queue of repair", max_rest_s=QUEUE_REST_S)
        self._records = RecordWalk(self._store)
        self._messages = MessageWatch(self._store, round(after_s * 1000))
        self._gone_copies = GoneCopies(self._store, after_s=after_s)
        self._lost = LostMessages(self._store, after_s=after_s)

    def run_once(self) -> None:
        """Look at some records and at all queues, and put right what was found before, too.

        Raises:
            Unavailable: If the store or RabbitMQ does not answer.
        """
        findings = self._records.step(is_repair=self._is_on)
        _report_repaired([each for each in findings if each.is_repaired])
        queues = sorted({row.queue for row in self._store.counts()})
        before = self._messages.look(queues)
        depths = self._depths.look(queues, deadline_s=self._deadline_s)
        lacks = self._messages.step(before, depths)
        self._gone_copies.look(depths, self._messages.counted)
        # What is moved to a queue of another type is in a queue beside it meanwhile: let the move end first.
        besides = [moving_queue(each.queue) for each in lacks]
        moving = self._depths.read(besides, deadline_s=self._deadline_s) if lacks else {}
        lacks = [each for each in lacks if moving_queue(each.queue) not in moving]
        wrong = Counter(each.queue for each in findings if not each.is_repaired)
        wrong.update({each.queue: each.messages for each in lacks})
        set_all(JOBS_UNACCOUNTED, {(name,): wrong[name] for name in {*queues, *wrong}})
        if self._is_on and self._dispatcher.publisher.is_ready:
            self._bring_back(lacks)

    def _bring_back(self, lacks: Sequence[Lack]) -> None:
        held = prefetched(self._store) if lacks else Counter[str]()
        for queue, jobs in self._lost.take(lacks, held, LIMIT):
            if not self._publish(queue, jobs):
                self._lost.give_up(queue)

    def _publish(self, queue: str, jobs: Sequence[Ready]) -> bool:
        """Publish again; False if RabbitMQ does not take all: these are in the outbox, for `relay`."""
        JOBS_REPAIRED.labels("no_message").inc(len(jobs))
        facts = {"queue": queue, "jobs": len(jobs)}
        logger.warning("messages were lost: published again", extra=facts)
        published = publish_apart(
            jobs,
            self._dispatcher.publish_each,
            self._dispatcher.publisher,
            resting=self._resting,
        )
        return len(published) == len(jobs)


def _report_repaired(repaired: Sequence[Inconsistency]) -> None:
    for each in repaired:
        JOBS_REPAIRED.labels(each.problem).inc()
        facts = {"job_id": each.id, "queue": each.queue, "state": each.state}
        logger.warning("record is put back: %s", each.problem, extra=facts)
