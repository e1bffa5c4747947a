"""Which queues lack messages, from counts of store and broker that are never of the same moment."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from taskyard.rabbitmq.inspect import Depth
from taskyard.store import JobStore
from taskyard.store.consistency import PendingCounts

#: Overtaken jobs of a queue that are named, at most.
OVERTAKEN = 500


def settle_s(heartbeat_s: float) -> float:
    """Return how long a job must be ready before its message can count as missing, in seconds.

    Workers report what they hold with each heartbeat.
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
    What workers hold changes faster than they report it: of a queue at work this is about so many.
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
    """Return the queues that RabbitMQ does not really know of, though it answered.

    It reports a quorum queue whose leader it cannot reach as empty and without consumers, although a live
    worker consumes it.
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
    """Return how many messages of each queue wait in live workers, as they reported last."""
    held: Counter[str] = Counter()
    for worker in store.workers():
        if worker["is_alive"]:
            held.update(worker.get("prefetched", {}))
    return held


class Lack(Struct, frozen=True, kw_only=True):
    """Messages that a queue lacks."""

    queue: str
    #: None: there is no such queue.
    depth: Depth | None
    messages: int
    #: In a queue at work, jobs that may have lost theirs, oldest first: at least as many as `messages`.
    overtaken: list[str]


class MessageWatch:
    """Counts missing messages, and reports those that two consecutive counts agree on.

    Of a queue at work, which has messages and is read, it reports no more than others have overtaken: what
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
            count, seen = min(count, count_before), set(ids_before)
            overtaken = [each for each in ids if each in seen]
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
