"""What a child takes from its queues: as much as its slots are free for, and what waits in vain goes back."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from services.worker.attempt import Attempt
from services.worker.burial import Burial
from services.worker.consumer import Consumer
from services.worker.engine import Engine
from services.worker.inbox import Delivery
from services.worker.prefetch import ServiceTimes, wanted
from services.worker.settler import Settler

#: A job that has run for so long, or of whose queue the jobs take so long, keeps its slot for long. Seconds.
LONG_S = 0.5
#: Work of the other slots that may wait here. Seconds.
MAX_WAIT_S = 1.0
#: Between two looks; the second while queues are opened again, one at a look. Seconds.
LOOK_S = 0.1
OPEN_S = 0.02


class Room:
    """Fits what each queue may deliver to the slots that are free for it, and hands back what is too much.

    A slot whose job runs for long is there for nothing else. While all are like that, nothing new is taken:
    another child may have a slot. Once one is free again, the queues get their turn one after the other, so
    that one job comes for it and not one of each queue.

    Args:
        consumer: Takes deliveries and gives them back.
        settler: Has the attempts, and how long jobs take.
        engine: Knows how many slots are busy, and what the store fails at.
        burial: Has deliveries that wait for RabbitMQ and for no slot.
        slots: How many jobs may run.
        queues: Those that are consumed.
        is_store_away: Tells whether the store has not answered for so long that others are to have the jobs.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        settler: Settler,
        engine: Engine,
        burial: Burial,
        slots: int,
        queues: Sequence[str],
        is_store_away: Callable[[], bool],
    ) -> None:
        self._consumer = consumer
        self._settler = settler
        self._engine = engine
        self._burial = burial
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
        """Return when it is time to look, after `timeout_s` at the latest; True if somebody said so."""
        return self._bell.wait(timeout_s)

    def look(self) -> float:
        """Look once; return the seconds until the next look."""
        self._bell.clear()
        means = self._times.means(dict(self._settler.served))
        long = [
            each for each in self._settler.unsettled() if _is_long(each, means.get(each.queue_name))
        ]
        free = 0 if self._is_store_away() else max(0, self._slots - len(long))
        self._turn(free)
        held = [each.delivery for each in long] + self._burial.deliveries() + self._engine.aside()
        self._fit({queue: wanted(free, means.get(queue)) for queue in self._open}, held)
        self._hand_back_surplus(free)
        return OPEN_S if self._closed and free and self._engine.busy < self._slots else LOOK_S

    def _turn(self, free: int) -> None:
        """Close all queues while no slot is free for them, else open the next one that is closed."""
        self._is_tight = free == 0 or bool(self._closed)
        if free == 0:
            self._closed.extend(self._open)
            self._open.clear()
        elif self._closed:
            self._open.append(self._closed.popleft())

    def _fit(self, ahead: dict[str, int], held: list[Delivery]) -> None:
        fitted = ahead, held
        if fitted != self._fitted:
            self._consumer.fit(ahead, held)
            self._fitted = fitted

    def _hand_back_surplus(self, free: int) -> None:
        """Hand back what would wait for longer than `MAX_WAIT_S`, if two looks in turn say so.

        One alone may come just after this process, or the whole machine, has stood still.
        """
        keep = int(free * MAX_WAIT_S / self._settler.service_s)
        has_surplus = len(self._consumer.inbox) > keep and self._engine.busy >= self._slots
        if self._is_store_away():
            self._consumer.hand_back(self._consumer.inbox.surplus(0))
        elif has_surplus and self._had_surplus:
            waited_since = time.monotonic() - LONG_S
            self._consumer.hand_back(self._consumer.inbox.surplus(keep, until=waited_since))
        self._had_surplus = has_surplus


def _is_long(attempt: Attempt, mean_s: float | None) -> bool:
    """Return whether the slot of an attempt will be busy for some time."""
    if mean_s is not None and mean_s > LONG_S:
        return not attempt.is_ended
    return attempt.is_over(LONG_S)
