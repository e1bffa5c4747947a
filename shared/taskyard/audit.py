"""The conservation ledger: whether every accepted job is accounted for, and which are not.

What is about the store alone is one atomic look. Store and broker cannot be read at one moment, so what seems
to be missing between them is looked at twice.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.rabbitmq.queue_peek import QueuePeek
from taskyard.store import JobStore
from taskyard.store.audit import Finding, Totals

#: Records of one step through them all.
STEP = 500
#: Most messages of a queue that are looked at, and most jobs of it that are named.
PEEK_LIMIT = 10_000
#: Between the two looks for missing messages, in seconds.
SECOND_LOOK_S = 1.0
#: Between the record of a job and its message, at most, on top of the time to count. Seconds.
MARGIN_S = 1.0
#: Findings that the scheduler remembers to look at them again.
REMEMBERED = 1000


class Missing(Struct, frozen=True, kw_only=True):
    """Messages that a queue should have, and the jobs that may be theirs."""

    queue: str
    messages: int
    #: At least as many, or none if the queue is too long to look through.
    jobs: list[str]
    is_repaired: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """What an audit found."""

    totals: Totals | None
    checked: int
    findings: list[Finding]
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


def settle_s(heartbeat_s: float) -> float:
    """Return how long a job must be ready before its message can count as missing, in seconds.

    Workers tell with their heartbeat what they hold.
    """
    return max(2.0, 2 * heartbeat_s)


def deficits(
    store: JobStore, messages: Mapping[str, int], older_than_ms: int, *, counting_s: float
) -> dict[str, int]:
    """Return for each queue how many of its messages seem to be missing; queues without any are left out.

    Jobs that became ready since the messages were counted are none of these, so they are not counted either.

    Args:
        store: Where the jobs are.
        messages: For each queue, those that are ready.
        older_than_ms: How long one of its jobs must be ready for a message to be missing.
        counting_s: How long ago the count of the messages began.
    """
    queues = sorted(messages)
    held = prefetched(store)
    recent_ms = round((counting_s + MARGIN_S) * 1000)
    rows = store.audit_queues(queues, older_than_ms, recent_ms=recent_ms)
    found = {
        queue: min(row.old, row.jobs - messages[queue] - held[queue])
        for queue, row in zip(queues, rows, strict=True)
    }
    return {queue: count for queue, count in found.items() if count > 0}


def prefetched(store: JobStore) -> Counter[str]:
    """Return how many messages of each queue wait in workers that live, as these told last."""
    held: Counter[str] = Counter()
    for worker in store.workers():
        if worker["is_alive"]:
            held.update(worker.get("prefetched", {}))
    return held


class Audit:
    """Looks at everything once.

    Args:
        dispatcher: Where the jobs are, and how missing messages are published again.
        peek: What looks into the queues.
        older_than_s: How long a job must be ready before its message can count as missing.
    """

    def __init__(self, dispatcher: Dispatcher, peek: QueuePeek, *, older_than_s: float) -> None:
        self._dispatcher = dispatcher
        self._store = dispatcher.store
        self._peek = peek
        self._older_than_ms = round(older_than_s * 1000)

    def run(self, *, is_repair: bool = False) -> Report:
        """Return what is not accounted for, and put right what can be if `is_repair`.

        Raises:
            Unavailable: If the store or RabbitMQ does not answer.
        """
        checked, findings = self._records(is_repair)
        missing = self._messages()
        if is_repair:
            missing = [self._republish(each) for each in missing]
            self._publish([each.id for each in findings if each.problem == "not_ready"])
        return Report(
            totals=self._store.totals(), checked=checked, findings=findings, missing=missing
        )

    def _records(self, is_repair: bool) -> tuple[int, list[Finding]]:
        found: dict[str, Finding] = {}
        cursor, checked = "0", 0
        while True:
            page = self._store.audit_records(cursor, STEP, is_repair=is_repair)
            checked += page.checked
            for each in page.findings:
                found.setdefault(each.id, each)
            cursor = page.cursor
            if cursor == "0":
                return checked, list(found.values())

    def _messages(self) -> list[Missing]:
        first = {queue: self._named(queue) for queue in self._deficits()}
        if not first:
            return []
        time.sleep(SECOND_LOOK_S)
        second = self._deficits()
        return [
            Missing(queue=queue, messages=count, jobs=self._both(queue, first[queue]))
            for queue, count in second.items()
            if queue in first
        ]

    def _deficits(self) -> dict[str, int]:
        names = {*self._store.queues(), *(row.queue for row in self._store.counts())}
        began_at = time.monotonic()
        messages = {name: self._peek.messages(name) for name in names}
        counting_s = time.monotonic() - began_at
        found = deficits(self._store, messages, self._older_than_ms, counting_s=counting_s)
        # What is being moved to a queue of another type is in a queue beside it meanwhile.
        left = {
            name: n - self._peek.messages(moving_queue(name), may_be_hidden=True)
            for name, n in found.items()
        }
        return {name: count for name, count in left.items() if count > 0}

    def _both(self, queue: str, first: Iterable[str]) -> list[str]:
        second = set(self._named(queue))
        return [job_id for job_id in first if job_id in second]

    def _named(self, queue: str) -> list[str]:
        """Return the jobs that should have a message in the queue and have none, oldest first."""
        ids = self._store.audit_published(queue, self._older_than_ms, PEEK_LIMIT)
        seen = self._peek.ids(queue, PEEK_LIMIT)
        return [] if seen is None else [job_id for job_id in ids if job_id not in seen]

    def _republish(self, missing: Missing) -> Missing:
        self._publish(missing.jobs)
        return Missing(
            queue=missing.queue,
            messages=missing.messages,
            jobs=missing.jobs,
            is_repaired=len(missing.jobs) >= missing.messages,
        )

    def _publish(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), STEP):
            ready = self._store.audit_republish(ids[start : start + STEP])
            self._dispatcher.publish(ready)


class RecordWalk:
    """Walks through all records again and again, a step at a time, and remembers what it finds.

    Args:
        store: Where the records are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._cursor = "0"
        self._found: list[str] = []

    def step(self, *, is_repair: bool = False) -> list[Finding]:
        """Look at some records, and again at those found before; return what is wrong.

        With `is_repair`, what was found before and still is so is put right, as far as the record tells.
        """
        page = self._store.audit_records(self._cursor, STEP, ids=self._found)
        self._cursor = page.cursor
        findings = {each.id: each for each in page.findings}
        again = [job_id for job_id in self._found if job_id in findings]
        if is_repair and again:
            mended = self._store.audit_records("", 0, ids=again, is_repair=True).findings
            findings |= {each.id: each for each in mended}
        self._found = [i for i, each in findings.items() if not each.is_repaired][:REMEMBERED]
        return list(findings.values())


class MessageWatch:
    """Counts missing messages, and believes it when two counts in turn say so.

    Args:
        store: Where the jobs are.
        older_than_ms: How long a job must be ready to count.
    """

    def __init__(self, store: JobStore, older_than_ms: int) -> None:
        self._store = store
        self._older_than_ms = older_than_ms
        self._before: dict[str, int] = {}

    def step(self, messages: Mapping[str, int], counting_s: float) -> dict[str, int]:
        """Return how many messages each queue lacks; `messages` are ready, and took so long to count."""
        now = deficits(self._store, messages, self._older_than_ms, counting_s=counting_s)
        sure = {queue: min(n, self._before.get(queue, 0)) for queue, n in now.items()}
        self._before = now
        return sure
