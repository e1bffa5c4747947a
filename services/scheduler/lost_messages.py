"""Which jobs have lost their messages, where counting says how many a queue lacks: none is taken out to look.

A queue that is empty lacks the messages of all its jobs. In any other, a job is a suspect once it has been
overtaken by one that comes after it: while work goes on, all whose message is there start in their turn, and
those without one are what is left. Both are believed when two looks in a row say so.
"""

import time
from collections.abc import Sequence

from msgspec import Struct

from taskyard.store import JobStore
from taskyard.store.base import Ready

#: Jobs of one call of the store.
STEP = 500


class Shortage(Struct, frozen=True, kw_only=True):
    """A queue that lacks messages."""

    queue: str
    #: How many are missing.
    lacking: int
    #: How many are ready, and how many wait in workers: these may be those of suspects.
    messages: int
    held: int


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
        #: Who was overtaken in a queue at the last look.
        self._overtaken: dict[str, list[str]] = {}

    def take(self, shortages: Sequence[Shortage], limit: int) -> list[Ready]:
        """Return the jobs that are to be published again, at most `limit` and about as many as are missing.

        Raises:
            StoreUnavailable: If the store does not answer; what was taken by then is in the outbox.
        """
        now, looked_at = time.monotonic(), self._looked_at
        before, self._looked_at = self._overtaken, now
        self._look(shortages, now)
        taken: list[Ready] = []
        for each in shortages:
            if each.queue in self._lost_before:
                taken += self._all_of(each.queue, limit - len(taken), now)
            else:
                ids = _in_both(self._overtaken.get(each.queue, []), before.get(each.queue, []))
                wanted = min(each.lacking + each.held, limit - len(taken))
                # One that another scheduler has published since then is ready since then.
                older_than_ms = self._older_than_ms(now - looked_at)
                taken += self._store.audit_republish(ids[:wanted], older_than_ms)
        return taken

    def _look(self, shortages: Sequence[Shortage], now: float) -> None:
        names = {each.queue for each in shortages}
        empty = {each.queue for each in shortages if not each.messages}
        still = {queue: at for queue, at in self._lost_before.items() if queue in names}
        again = {queue: at for queue, at in self._empty_at.items() if queue in empty}
        self._lost_before = still | again
        self._empty_at = dict.fromkeys(empty, now)
        self._overtaken = {
            queue: self._store.audit_overtaken(queue, self._older_than_ms(0), STEP)
            for queue in names - empty - self._lost_before.keys()
        }

    def _all_of(self, queue: str, limit: int, now: float) -> list[Ready]:
        """Take those of a queue that were ready when it was empty, the oldest first."""
        older_than_ms = self._older_than_ms(now - self._lost_before[queue])
        taken: list[Ready] = []
        while len(taken) < limit:
            wanted = min(STEP, limit - len(taken))
            ids = self._store.audit_published(queue, older_than_ms, wanted)
            taken += self._store.audit_republish(ids, older_than_ms)
            if len(ids) < wanted:
                del self._lost_before[queue]
                break
        return taken

    def _older_than_ms(self, more_s: float) -> int:
        return round((self._after_s + more_s) * 1000)


def _in_both(ids: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [each for each in ids if each in known]
