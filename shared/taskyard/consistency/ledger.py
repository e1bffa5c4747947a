"""The conservation ledger: whether every accepted job is accounted for, and which are not.

What is about the store alone is one atomic look. Store and broker cannot be read at one moment, so what seems
to be missing between them is looked at twice.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.inspect import Depth, DepthReader
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.store import JobStore
from taskyard.store.consistency import Inconsistency, PendingCounts, Totals

#: Records of one step through them all.
STEP = 500
#: Jobs of a queue that one audit names, and publishes again, at most.
LIMIT = 10_000
#: Between the two looks for missing messages, at least; in seconds.
SECOND_LOOK_S = 1.0
#: Jobs of a queue, overtaken by others, that are told of.
OVERTAKEN = 500
#: Findings that the scheduler remembers to look at them again.
REMEMBERED = 1000


class Missing(Struct, frozen=True, kw_only=True):
    """Messages that a queue should have."""

    queue: str
    messages: int
    #: Whose they are, where that is clear: of all jobs, or of those that were overtaken. Of a repair, those
    #: jobs that were published again.
    jobs: list[str]
    is_repaired: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """What an audit found."""

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


def settle_s(heartbeat_s: float) -> float:
    """Return how long a job must be ready before its message can count as missing, in seconds.

    Workers tell with their heartbeat what they hold.
    """
    return max(2.0, 2 * heartbeat_s)


def deficits(
    store: JobStore,
    before: PendingCounts,
    depths: Mapping[str, Depth | None],
    *,
    older_than_ms: int,
) -> dict[str, int]:
    """Return for each queue how many of its messages seem to be missing; queues without any are left out.

    A job that was ready before the messages were counted has one among these, unless it was unconfirmed then.
    What workers hold changes faster than they tell of it: of a queue at work this is about so many.
    Copies of messages, of jobs that have risen by waiting, are of none of them.

    Args:
        store: Where the jobs are.
        before: Its look at these queues before their messages were counted.
        depths: The messages that are ready in each queue; None: there is no such queue.
        older_than_ms: How long one of its jobs must be ready for a message to be missing.
    """
    held = prefetched(store)
    unsaid = _unsaid(store, depths)
    after = store.count_pending(list(depths), older_than_ms, before_ms=before.at_ms)
    copies = store.copies(recent_ms=max(older_than_ms, after.at_ms - before.at_ms))
    found: dict[str, int] = {}
    for queue, depth in depths.items():
        if queue in unsaid:
            continue
        now, then = after.rows[queue], before.rows[queue]
        messages = held[queue] + (depth.messages if depth else 0) - copies.get(queue, 0)
        found[queue] = min(now.old, now.jobs - then.unconfirmed - messages)
    return {queue: count for queue, count in found.items() if count > 0}


def _unsaid(store: JobStore, depths: Mapping[str, Depth | None]) -> set[str]:
    """Return the queues of which RabbitMQ has said nothing, though it answered.

    Of a quorum queue whose leader it cannot reach it says that nothing is in it and nobody reads it. Somebody
    does: a worker that lives.
    """
    silent = {queue for queue, depth in depths.items() if depth == Depth(0, 0)}
    if not silent:
        return silent
    read = {
        queue
        for worker in store.workers()
        if worker["is_alive"] and worker.get("state") == "running" and not worker.get("is_full")
        for queue in worker.get("queues", ())
    }
    return (silent & read) - store.pauses("queue").keys()


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
        checked, findings = self._records(is_repair)
        missing = self._messages()
        if is_repair:
            missing = [self._republish(each) for each in missing]
            self._publish([each.id for each in findings if each.problem == "not_ready"])
        return Report(
            totals=self._store.totals(), checked=checked, findings=findings, missing=missing
        )

    def _records(self, is_repair: bool) -> tuple[int, list[Inconsistency]]:
        found: dict[str, Inconsistency] = {}
        cursor, checked = "0", 0
        while True:
            page = self._store.check_records(cursor, STEP, is_repair=is_repair)
            checked += page.checked
            for each in page.findings:
                found.setdefault(each.id, each)
            cursor = page.cursor
            if cursor == "0":
                return checked, list(found.values())

    def _messages(self) -> list[Missing]:
        watch = MessageWatch(self._store, self._older_than_ms)
        self._look(watch)
        if watch.is_fine:
            return []
        # Long enough for the workers to tell anew what they hold.
        time.sleep(max(SECOND_LOOK_S, self._older_than_ms / 2000))
        lacks = self._look(watch)
        # What is being moved to a queue of another type is in a queue beside it meanwhile.
        names = [moving_queue(each.queue) for each in lacks]
        beside = self._peek.depths(names, may_be_hidden=True)
        return [self._missing(each) for each in lacks if not beside.get(moving_queue(each.queue))]

    def _look(self, watch: "MessageWatch") -> "list[Lack]":
        names = sorted({*self._store.queues(), *(row.queue for row in self._store.counts())})
        before = watch.look(names)
        return watch.step(before, self._peek.depths(names))

    def _missing(self, lack: "Lack") -> Missing:
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


class RecordWalk:
    """Walks through all records again and again, a step at a time, and remembers what it finds.

    Args:
        store: Where the records are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._cursor = "0"
        self._found: list[str] = []

    def step(self, *, is_repair: bool = False) -> list[Inconsistency]:
        """Look at some records, and again at those found before; return what is wrong.

        With `is_repair`, what was found before and still is so is put right, as far as the record tells.
        """
        page = self._store.check_records(self._cursor, STEP, ids=self._found)
        self._cursor = page.cursor
        findings = {each.id: each for each in page.findings}
        again = [job_id for job_id in self._found if job_id in findings]
        if is_repair and again:
            mended = self._store.check_records("", 0, ids=again, is_repair=True).findings
            findings |= {each.id: each for each in mended}
        self._found = [i for i, each in findings.items() if not each.is_repaired][:REMEMBERED]
        return list(findings.values())


class Lack(Struct, frozen=True, kw_only=True):
    """Messages that a queue lacks."""

    queue: str
    #: None: there is no such queue.
    depth: Depth | None
    messages: int
    #: In a queue at work, jobs that may have lost theirs, oldest first: at least as many as `messages`.
    overtaken: list[str]


class MessageWatch:
    """Counts missing messages, and believes it when two looks in turn say so.

    Of a queue at work, which has messages and is read, it believes no more than others have overtaken: what
    its workers hold cannot be counted exactly, and a job whose message is there starts in its turn.

    Args:
        store: Where the jobs are.
        older_than_ms: How long a job must be ready to count.
    """

    def __init__(self, store: JobStore, older_than_ms: int) -> None:
        self._store = store
        self._older_than_ms = older_than_ms
        #: For each queue that seemed to lack messages at the last look, how many, and who was overtaken.
        self._before: dict[str, tuple[int, list[str]]] = {}

    @property
    def is_fine(self) -> bool:
        """Whether no message seemed to be missing at the last look."""
        return not self._before

    @property
    def counted(self) -> dict[str, int]:
        """How many messages seemed to be missing at the last look, by queue, believed or not."""
        return {queue: count for queue, (count, _) in self._before.items()}

    def look(self, queues: Sequence[str]) -> PendingCounts:
        """Look at the jobs of these queues; to be done before their messages are counted."""
        return self._store.count_pending(queues, self._older_than_ms)

    def step(self, before: PendingCounts, depths: Mapping[str, Depth | None]) -> list[Lack]:
        """Return which queues lack messages; `depths` are theirs, None of one that does not exist."""
        found = deficits(self._store, before, depths, older_than_ms=self._older_than_ms)
        now = {queue: (n, self._overtaken(queue, depths[queue])) for queue, n in found.items()}
        last, self._before = self._before, now
        lacks: list[Lack] = []
        for queue, (count, ids) in now.items():
            count_before, ids_before = last.get(queue, (0, []))
            count, known = min(count, count_before), set(ids_before)
            overtaken = [each for each in ids if each in known]
            if _is_at_work(depths[queue]):
                count = min(count, len(overtaken))
            if count:
                lack = Lack(queue=queue, depth=depths[queue], messages=count, overtaken=overtaken)
                lacks.append(lack)
        return lacks

    def _overtaken(self, queue: str, depth: Depth | None) -> list[str]:
        if not _is_at_work(depth):
            return []
        return self._store.oldest_overtaken(queue, self._older_than_ms, OVERTAKEN)


def _is_at_work(depth: Depth | None) -> bool:
    return depth is not None and depth.messages > 0 and depth.consumers > 0
