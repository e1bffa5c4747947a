"""The queue between the engine and the slots, which wakes as few threads as the work needs."""

import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty

from services.worker.attempts.running import RunningAttempt


class Item:
    """An entry of the queue, as Dramatiq's threads expect it."""

    __slots__ = ("message",)

    def __init__(self, message: RunningAttempt) -> None:
        self.message = message


class WorkQueue:
    """Attempts in the order of their claims, which is that of their priority.

    Waking a thread costs more than a tiny job: Dramatiq's own queue, which wakes one for each attempt,
    took a third of a worker's time. Here a batch wakes one thread, the one that went idle last; the engine
    calls `spread` for what is left a moment later.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._idle: list[threading.Lock] = []
        self._mutex = threading.Lock()
        self._own = threading.local()

    def put(self, attempts: Sequence[RunningAttempt]) -> None:
        """Add attempts and wake one thread."""
        self._items.extend(map(Item, attempts))
        self._wake(1)

    def spread(self) -> None:
        """Wake a thread for each attempt that still waits."""
        if self._items:
            self._wake(len(self._items))

    def __len__(self) -> int:
        """Return how many attempts wait for a thread."""
        return len(self._items)

    @property
    def idle(self) -> int:
        """How many threads sleep until there is work."""
        return len(self._idle)

    def get(self, timeout: float) -> Item:
        """Return the first attempt.

        Raises:
            Empty: If there was none for `timeout` seconds, or another thread was faster.
        """
        try:
            return self._items.popleft()
        except IndexError:
            self._sleep(timeout)
        try:
            return self._items.popleft()
        except IndexError:
            raise Empty from None

    def task_done(self) -> None:
        """Count nothing: the engine knows what is under way."""

    def _sleep(self, timeout: float) -> None:
        bell = self._bell()
        with self._mutex:
            if self._items:
                return
            self._idle.append(bell)
        if bell.acquire(timeout=timeout):
            return
        with self._mutex:
            if bell in self._idle:
                self._idle.remove(bell)
            else:
                bell.acquire()  # rung in this very moment

    def _bell(self) -> threading.Lock:
        """Return this thread's own lock: held while it sleeps, released to wake it."""
        bell: threading.Lock | None = getattr(self._own, "bell", None)
        if bell is None:
            bell = self._own.bell = threading.Lock()
            bell.acquire()
        return bell

    def _wake(self, count: int) -> None:
        with self._mutex:
            for _ in range(min(count, len(self._idle))):
                self._idle.pop().release()
