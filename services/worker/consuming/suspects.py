"""Where a lone child's deliveries come from: jobs that may be what kills their workers, one at a time."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

from pika.spec import BasicProperties

from services.worker.consuming.inbox import Delivery, Inbox
from taskyard.dispatcher import later_message
from taskyard.runtime.lifecycle import Loop
from taskyard.store import JobStore
from taskyard.store.jobs import Ready

#: How often the store is asked for the next one at least. Seconds.
LOOK_S = 0.25
#: How long a job that was taken and not claimed is left to nobody else. Seconds.
RESERVE_S = 5.0


class Suspects:
    """A `Source` that gives the next suspect once the one before it is done with.

    The store keeps them, so there is nothing to acknowledge or to hand back to anybody: what was not
    claimed is given out again after `RESERVE_S`, and an attempt that is handed back is settled as such.

    Args:
        store: Where they wait.
        queues: The queues that they are of.
        on_arrival: Called after each delivery.
        is_busy: Tells whether a job is under way, or its end not known to the store yet, for it would be lost
            with the next. While none is, one that the store cannot let start does not hold up the next for
            longer than it is reserved.
    """

    def __init__(
        self,
        store: JobStore,
        queues: Sequence[str],
        *,
        on_arrival: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self.inbox = Inbox(on_arrival)
        self._store = store
        self._queues = queues
        self._is_busy = is_busy
        self._current: Delivery | None = None
        self._is_stopped = False
        self._taken_at = self._idle_since = time.monotonic()
        self._is_free = threading.Event()
        self._loop = Loop("lone", self.run_once, interval_s=LOOK_S, await_work=self._await_free)

    @property
    def idle_s(self) -> float:
        """For how long there has been none; 0 while there is one."""
        return 0.0 if self._current is not None else time.monotonic() - self._idle_since

    def run_once(self) -> None:
        """Take the next one, unless one is under way.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        if self._is_stopped or self._is_under_way:
            return
        self._let_go()  # of one that did not start
        suspect = self._store.take_suspect(self._queues, round(RESERVE_S * 1000))
        if suspect is None:
            return
        message = later_message(
            Ready(suspect.id, suspect.queue, suspect.body, suspect.attempt, 0, 0)
        )
        self._taken_at = time.monotonic()
        self._current = Delivery(
            suspect.queue,
            0,
            message.body,
            BasicProperties(
                message_id=message.id,
                type=message.task,
                headers=message.headers,
                priority=suspect.priority,
            ),
            None,
        )
        self.inbox.put(self._current)

    @property
    def _is_under_way(self) -> bool:
        if self._current is None:
            return False
        return self._is_busy() or time.monotonic() - self._taken_at < RESERVE_S

    def start(self) -> None:
        """Begin to take them."""
        self._loop.start()

    def problems(self) -> list[str]:
        """Return what keeps them from coming."""
        return ["suspects cannot be asked for"] if self._loop.is_failing else []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Take the next one: this one is done with."""
        if self._current in deliveries:
            self._let_go()
            self._is_free.set()

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Take the next one: this one is among the suspects still, or again."""
        self.ack(deliveries)

    def pause(self, queues: Collection[str]) -> None:
        """Do nothing: the store gives none of a paused queue."""

    def set_paused(self, queues: Collection[str]) -> None:
        """Do nothing, likewise."""

    def stop_consuming(self) -> None:
        """Take no more; the one that waits for the slot is given out again."""
        self._is_stopped = True
        self.inbox.remove(lambda _: True)

    def close(self) -> None:
        """Stop."""
        self._is_stopped = True
        self._loop.stop(timeout_s=1.0)

    def _let_go(self) -> None:
        if self._current is not None:
            self._idle_since = time.monotonic()
            self._current = None

    def _await_free(self, timeout_s: float) -> None:
        self._is_free.wait(timeout_s)
        self._is_free.clear()
