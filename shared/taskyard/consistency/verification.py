"""The verification that every accepted job is accounted for: totals, records and messages.

The store is read atomically. Store and broker cannot be read at the same moment, so messages that seem to be
missing are counted twice.
"""

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from taskyard.consistency.messages import Lack, MessageWatch
from taskyard.consistency.records import check_all
from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.inspect import DepthReader
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.store.consistency import Inconsistency, Totals

#: Jobs that are published again at a time.
STEP = 500
#: Jobs of a queue that one verification names, and publishes again, at most.
LIMIT = 10_000
#: Between the two looks for missing messages, at least; in seconds.
SECOND_LOOK_S = 1.0


class Missing(Struct, frozen=True, kw_only=True):
    """Messages that a queue should have."""

    queue: str
    messages: int
    #: Whose they are, where that is clear: of all jobs, or of those that were overtaken. Of a repair, those
    #: jobs that were published again.
    jobs: list[str]
    is_repaired: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """What a verification found."""

    totals: Totals | None
    checked: int
    findings: list[Inconsistency]
    missing: list[Missing]

    @property
    def is_balanced(self) -> bool:
        """Whether no record is gone."""
        return self.totals is None or self.totals.missing == 0

    @property
    def is_fine(self) -> bool:
        """Whether nothing was found, or all that was is repaired."""
        return self.is_balanced and self._are_repaired

    @property
    def _are_repaired(self) -> bool:
        are_records = all(each.is_repaired for each in self.findings)
        return are_records and all(each.is_repaired for each in self.missing)


class Verification:
    """Verifies everything once.

    Args:
        dispatcher: Where the jobs are, and how missing messages are published again.
        peek: What looks into the queues.
        older_than_s: How long a job must be ready before its message can count as missing.
    """

    def __init__(self, dispatcher: Dispatcher, peek: DepthReader, *, older_than_s: float) -> None:
        self._dispatcher = dispatcher
        self._store = dispatcher.store
        self._peek = peek
        self._older_than_ms = round(older_than_s * 1000)

    def run(self, *, is_repair: bool = False) -> Report:
        """Return what is not accounted for, and put right what can be if `is_repair`.

        Raises:
            Unavailable: If the store or RabbitMQ does not answer.
        """
        checked, findings = check_all(self._store, is_repair=is_repair)
        missing = self._messages()
        if is_repair:
            missing = [self._republish(each) for each in missing]
            self._publish([each.id for each in findings if each.problem == "not_ready"])
        return Report(
            totals=self._store.totals(), checked=checked, findings=findings, missing=missing
        )

    def _messages(self) -> list[Missing]:
        watch = MessageWatch(self._store, self._older_than_ms)
        self._look(watch)
        if watch.is_fine:
            return []
        # Long enough for the workers to report once more what they hold.
        time.sleep(max(SECOND_LOOK_S, self._older_than_ms / 2000))
        lacks = self._look(watch)
        # What is being moved to a queue of another type is in a queue beside it meanwhile.
        names = [moving_queue(each.queue) for each in lacks]
        beside = self._peek.depths(names, may_be_hidden=True)
        return [self._missing(each) for each in lacks if not beside.get(moving_queue(each.queue))]

    def _look(self, watch: MessageWatch) -> list[Lack]:
        names = sorted({*self._store.queues(), *(row.queue for row in self._store.counts())})
        before = watch.look(names)
        return watch.step(before, self._peek.depths(names))

    def _missing(self, lack: Lack) -> Missing:
        jobs = lack.overtaken
        if not jobs:
            jobs = self._store.oldest_published(lack.queue, self._older_than_ms, LIMIT)
            jobs = jobs if lack.messages >= len(jobs) else []
        return Missing(queue=lack.queue, messages=lack.messages, jobs=jobs)

    def _republish(self, missing: Missing) -> Missing:
        """Publish again, all jobs of the queue where nothing tells which: a second message is not run."""
        jobs = missing.jobs or self._store.oldest_published(
            missing.queue, self._older_than_ms, LIMIT
        )
        self._publish(jobs)
        return msgspec.structs.replace(missing, jobs=jobs, is_repaired=len(jobs) < LIMIT)

    def _publish(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), STEP):
            ready = self._store.republish(ids[start : start + STEP])
            self._dispatcher.publish(ready)
