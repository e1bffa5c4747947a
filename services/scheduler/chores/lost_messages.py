"""Which jobs have lost their messages, and which copies of messages never come, going by counts alone.

Counting says how many messages a queue lacks; none is taken out to look.

A queue that is empty lacks the messages of all its jobs. In any other, a job may lack its own once it is
overtaken by one that comes after it: while work goes on, all whose message is there start in their turn, and
those without one are what is left. Both are believed when two looks in a row say so.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from taskyard.consistency.messages import Lack, prefetched
from taskyard.rabbitmq.inspect import Depth
from taskyard.store import JobStore
from taskyard.store.jobs import Ready

#: Jobs of one call of the store.
STEP = 500
#: What a queue lacks for so long, though repair has brought back what it could, are copies. Seconds.
GIVE_UP_S = 60.0


class LostMessages:
    """Finds the jobs, and puts them into the outbox.

    Args:
        store: Where they are.
        after_s: How long a job must be ready before its message can count as missing, in seconds.
    """

    def __init__(self, store: JobStore, *, after_s: float) -> None:
        self._store = store
        self._after_s = after_s
        #: Queues that were empty at the last look, with its time.
        self._empty_at: dict[str, float] = {}
        #: Queues whose jobs that were ready before this time have all lost their messages.
        self._lost_before: dict[str, float] = {}
        self._looked_at = 0.0

    def take(
        self, lacks: Sequence[Lack], held: Mapping[str, int], limit: int
    ) -> Iterator[tuple[str, Sequence[Ready]]]:
        """Give the jobs that are to be published again, some of a queue at a time.

        They are at most `limit`, and about as many as are missing; those overtaken may be ones that workers
        hold, of which there are `held` in each queue.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        self._look(lacks, now)
        for each in lacks:
            if each.queue in self._lost_before:
                steps = self._all_of(each.queue, limit)
            else:
                ids = each.overtaken[: min(each.messages + held[each.queue], limit)]
                # One that another scheduler has published since then is ready since then.
                steps = self._some(ids, now - looked_at)
            for jobs in steps:
                limit -= len(jobs)
                yield each.queue, jobs

    def give_up(self, queue: str) -> None:
        """Take no more of a queue until it has been empty again at two looks."""
        self._lost_before.pop(queue, None)

    def _look(self, lacks: Sequence[Lack], now: float) -> None:
        names = {each.queue for each in lacks}
        empty = {each.queue for each in lacks if is_empty(each.depth)}
        still = {queue: at for queue, at in self._lost_before.items() if queue in names}
        again = {queue: at for queue, at in self._empty_at.items() if queue in empty}
        self._lost_before = still | again
        self._empty_at = dict.fromkeys(empty, now)

    def _all_of(self, queue: str, limit: int) -> Iterator[list[Ready]]:
        """Take those of a queue that were ready when it was empty, the oldest first."""
        while limit > 0 and queue in self._lost_before:
            # Anew each time: while some are published, those before them must not become as old as that.
            older_than_ms = self._older_than_ms(time.monotonic() - self._lost_before[queue])
            ids = self._store.oldest_published(queue, older_than_ms, min(STEP, limit))
            jobs = self._store.republish(ids, older_than_ms)
            if len(ids) < min(STEP, limit) or not jobs:
                self.give_up(
                    queue
                )  # these were the last; or broken records, or another has taken them
            limit -= len(jobs)
            if jobs:
                yield jobs

    def _some(self, ids: Sequence[str], since_s: float) -> Iterator[list[Ready]]:
        if jobs := self._store.republish(ids, self._older_than_ms(since_s)):
            yield jobs

    def _older_than_ms(self, more_s: float) -> int:
        return round((self._after_s + more_s) * 1000)


class GoneCopies:
    """Has the store forget copies that are lost: of a queue that is empty, or that lacks messages for long.

    In doubt they are forgotten: then they hide some messages that are missing until the queue has been empty,
    while expected in vain they would be an alarm without an end.

    Args:
        store: Where they are counted.
        after_s: For how long a copy may be on its way, in seconds.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self, store: JobStore, *, after_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._recent_ms = round(after_s * 1000)
        self._clock = clock
        #: Since when a queue has lacked messages at each look.
        self._lacking_since: dict[str, float] = {}

    def look(self, depths: Mapping[str, Depth | None], lacking: Mapping[str, int]) -> None:
        """Forget those that are gone.

        Args:
            depths: The messages that are ready in each queue; None: there is no such queue.
            lacking: How many it seems to lack, where it does.
        """
        now = self._clock()
        self._lacking_since = {queue: self._lacking_since.get(queue, now) for queue in lacking}
        copies = self._store.copies(recent_ms=self._recent_ms)
        if not copies:
            return
        held = prefetched(self._store)
        gone: dict[str, int] = {}
        for queue, count in copies.items():
            if queue in depths and not held[queue] and is_empty(depths[queue]):
                gone[queue] = count
            elif now - self._lacking_since.get(queue, now) >= GIVE_UP_S:
                gone[queue] = min(count, lacking[queue])
                self._lacking_since[queue] = now
        if gone:
            self._store.forget_copies(gone)


def is_empty(depth: Depth | None) -> bool:
    """Return whether a queue has no messages: it is gone, or it is read and has none.

    RabbitMQ reports neither messages nor consumers of a quorum queue whose leader it cannot reach.
    """
    return depth is None or (depth.messages == 0 and depth.consumers > 0)
