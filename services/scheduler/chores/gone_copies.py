"""Which copies of messages never come, so that nobody expects them for ever."""

import time
from collections.abc import Callable, Mapping

from services.scheduler.chores.lost_messages import is_empty
from taskyard.consistency.messages import prefetched
from taskyard.rabbitmq.inspect import Depth
from taskyard.store import JobStore

#: What a queue lacks for so long, though repair has brought back what it could, are copies. Seconds.
GIVE_UP_S = 60.0


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
