"""What a child takes from its queues: as much as its slots are free for, and what waits in vain goes back."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from services.worker.attempts.dead_letters import PendingDeadLetters
from services.worker.attempts.isolation import Isolation
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Settler
from services.worker.consuming.consumer import Consumer
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.prefetch import ServiceTimes, wanted

#: A job that has run for so long, or of whose queue the jobs take so long, keeps its slot for long. Seconds.
LONG_S = 0.5
#: Work of the other slots that may wait here. Seconds.
MAX_WAIT_S = 1.0
#: Of queues that take turns the next one opens when less work waits than this. Seconds.
NEXT_TURN_S = 0.2
#: Between two looks: while nothing is here, while something is, and while queues are opened for an idle slot.
#: Seconds.
IDLE_S = 0.5
LOOK_S = 0.1
OPEN_S = 0.02


class Room:
    """Fits what each queue may deliver to the slots that are free for it, and hands back what is too much.

    A slot whose job runs for long is there for nothing else. While all are like that, nothing new is taken:
    another child may have a slot. Once one is free again, the queues get their turn one after the other, so
    that one job comes for it and not one of each queue.

    Args:
        consumer: Takes deliveries and gives them back.
        registry: Has the attempts, and how many slots are busy.
        settler: Has how long jobs take.
        isolation: Has the deliveries that the store fails at.
        dead_letters: Has deliveries that wait for RabbitMQ and for no slot.
        slots: How many jobs may run.
        queues: Those that are consumed.
        is_store_away: Tells whether the store has not answered for so long that others are to have the jobs.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        registry: AttemptRegistry,
        settler: Settler,
        isolation: Isolation,
        dead_letters: PendingDeadLetters,
        slots: int,
        queues: Sequence[str],
        is_store_away: Callable[[], bool],
    ) -> None:
        self._consumer = consumer
        self._settler = settler
        self._registry = registry
        self._isolation = isolation
        self._dead_letters = dead_letters
        self._slots = slots
        self._is_store_away = is_store_away
        self._times = ServiceTimes()
        self._open = list(queues)
        #: Those that wait for their turn.
        self._closed: deque[str] = deque()
        self._is_tight = False
        self._had_surplus = False
        self._fitted: object = None
        self._bell = threading.Event()

    @property
    def is_full(self) -> bool:
        """Whether no slot is free for anything new, and none will be soon."""
        return self._is_tight and not self._open

    def freed(self) -> None:
        """Take note that an attempt has ended: look at once, if that may be worth it."""
        if self._is_tight:
            self._bell.set()

    def wake(self) -> None:
        """Look at once."""
        self._bell.set()

    def await_look(self, timeout_s: float) -> bool:
        """Return when it is time to look, after `timeout_s` at the latest; True if it was woken."""
        return self._bell.wait(timeout_s)

    def look(self) -> float:
        """Look once; return the seconds until the next look."""
        self._bell.clear()
        means = self._times.means(dict(self._settler.served))
        long = [
            each
            for each in self._registry.unsettled()
            if _is_long(each, means.get(each.queue_name))
        ]
        free = 0 if self._is_store_away() else max(0, self._slots - len(long))
        surplus = self._surplus(free)
        self._turn(free, is_crowded=bool(surplus))
        held = (
            [each.delivery for each in long]
            + self._dead_letters.deliveries()
            + self._isolation.deliveries()
        )
        self._fit({queue: wanted(free, means.get(queue)) for queue in self._open}, held)
        self._consumer.hand_back(surplus)  # after that, or it would come again at once
        if self._closed and free and self._registry.busy < self._slots:
            return OPEN_S
        return LOOK_S if held or self._closed or self._registry.busy else IDLE_S

    def _turn(self, free: int, *, is_crowded: bool) -> None:
        """Close all queues while no slot is free for them, else open the next one that is closed.

        Of many queues at work each brings jobs for all slots. Once these are too many together, the next
        opens only when little is left of what the last ones have brought.
        """
        self._is_tight = free == 0 or is_crowded or bool(self._closed)
        has_work = bool(self._closed) and len(self._consumer.inbox) >= self._work(free, NEXT_TURN_S)
        if free == 0 or is_crowded or has_work:
            self._closed.extend(self._open)
            self._open.clear()
        elif self._closed:
            # Where those that are open have nothing for an idle slot, twice as many at the next look.
            is_idle = not len(self._consumer.inbox) and self._registry.busy < self._slots
            for _ in range(min(len(self._closed), len(self._open) if is_idle else 1) or 1):
                self._open.append(self._closed.popleft())

    def _work(self, free: int, for_s: float) -> int:
        """Return how many jobs keep the free slots busy for so long, and one for each at least."""
        return max(free, int(free * for_s / self._settler.service_s))

    def _fit(self, ahead: dict[str, int], held: list[Delivery]) -> None:
        fitted = ahead, held
        if fitted != self._fitted:
            self._consumer.fit(ahead, held)
            self._fitted = fitted

    def _surplus(self, free: int) -> list[Delivery]:
        """Remove and return what would wait for longer than `MAX_WAIT_S`, if two looks in turn say so.

        One alone may come just after this process, or the whole machine, has stood still.
        """
        inbox = self._consumer.inbox
        keep = int(free * MAX_WAIT_S / self._settler.service_s)
        had_surplus = self._had_surplus
        self._had_surplus = len(inbox) > keep and self._registry.busy >= self._slots
        if self._is_store_away():
            return inbox.surplus(0)
        if self._had_surplus and had_surplus:
            return inbox.surplus(keep, until=time.monotonic() - LONG_S)
        return []


def _is_long(attempt: RunningAttempt, mean_s: float | None) -> bool:
    """Return whether the slot of an attempt will be busy for some time."""
    if mean_s is not None and mean_s > LONG_S:
        return not attempt.is_ended
    return attempt.is_over(LONG_S)
