"""One subscription for all streams of a process: what it hears is kept for a while, and read by each."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from taskyard.errors import Unavailable
from taskyard.message import new_id
from taskyard.store import JobStore
from taskyard.store.monitoring import EventSubscription, Transition

logger = logging.getLogger(__name__)

#: Events that are kept, for all streams together: a client may be so far behind, or come back to them.
KEPT_EVENTS = 10_000
#: Events that are read at a time.
READ_EVENTS = 500
#: It goes on listening so long for readers that come back. Seconds.
LINGER_S = 30.0
#: It looks this often whether anybody still listens, whether the server is stopping, and whether a store that
#: was away is back, none of which is announced. Seconds.
PAUSE_S = 1.0


class Event(Struct, frozen=True):
    """One event of a stream: a job's new state, or None: events may have been missed."""

    number: int
    change: Transition | None


class Hub:
    """Listens to the store as soon as somebody listens to it.

    Args:
        store: What tells of jobs.
        is_stopping: Whether the server is about to stop.
    """

    def __init__(self, store: JobStore, *, is_stopping: Callable[[], bool]) -> None:
        self._store = store
        self._is_stopping = is_stopping
        #: Numbers of events mean nothing to another process: this tells them apart.
        self.epoch = new_id()
        #: Event n is at n % KEPT_EVENTS, from the first that is kept to the last.
        self._ring: list[Event | None] = [None] * KEPT_EVENTS
        self._last = 0
        self._first = 1
        self._readers = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_listening = threading.Event()
        self._needed_at = 0.0

    @contextmanager
    def reader(self, after: int | None = None) -> Iterator["Reader"]:
        """Give a reader of the events after that number; None: of those from now on."""
        with self._changed:
            self._readers += 1
            self._listen()
        try:
            if not self._is_stopping():
                self._is_listening.wait(PAUSE_S)
            yield Reader(self, self._last if after is None else after)
        finally:
            with self._changed:
                self._readers -= 1
                self._needed_at = time.monotonic()

    def _listen(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()

    def after(self, number: int, timeout_s: float) -> Sequence[Event]:
        """Return events after that number, at most `READ_EVENTS`; wait for the first for `timeout_s`.

        Where the next one is not kept any more, the answer is one that says so, and leads to the last.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._last != number, timeout_s)
            if not self._first - 1 <= number <= self._last:
                return [Event(self._last, None)]
            numbers = range(number + 1, min(self._last, number + READ_EVENTS) + 1)
            found = (self._ring[each % KEPT_EVENTS] for each in numbers)
            return [event for event in found if event is not None]

    def _run(self) -> None:
        was_away = False
        while not self._is_idle():
            try:
                subscription = self._store.subscribe()
            except Exception as error:
                logger.warning("no events: %s", error, exc_info=not isinstance(error, Unavailable))
                was_away = True
                time.sleep(PAUSE_S)
                continue
            if was_away:
                self._pass_on([None])
            self._is_listening.set()
            was_away = self._hear(subscription)
            if not was_away:
                return  # another thread may have begun since

    @property
    def last(self) -> int:
        """Number of the last event."""
        return self._last

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None

    def _is_idle(self) -> bool:
        """Whether nobody listens any more; then the thread ends, and what it kept is of no use."""
        with self._changed:
            if self._readers:
                self._needed_at = time.monotonic()
            is_idle = time.monotonic() - self._needed_at > LINGER_S or self._is_stopping()
            if is_idle:
                self._thread = None
                self._is_listening.clear()
                # A number that no reader has got: one that comes back with the last number has missed events.
                self._last += 1
                self._first = self._last + 1
            return is_idle

    def _hear(self, subscription: EventSubscription) -> bool:
        """Pass on events until nobody listens any more; return True if the subscription broke off before."""
        try:
            while not self._is_idle():
                self._pass_on(subscription.get(PAUSE_S))
            return False
        except Unavailable as error:
            logger.warning("events were missed: %s", error)
        except Exception:
            # A store that is closed while it is read, as at the end of a process, has many faces.
            if not self._is_stopping():
                logger.exception("events were missed")
                time.sleep(PAUSE_S)
        finally:
            subscription.close()
        return True

    def _pass_on(self, changes: Sequence[Transition | None]) -> None:
        with self._changed:
            for change in changes:
                self._last += 1
                self._ring[self._last % KEPT_EVENTS] = Event(self._last, change)
            self._first = max(self._first, self._last - KEPT_EVENTS + 1)
            if changes:
                self._changed.notify_all()


class Reader:
    """Reads a hub's events in their order.

    Args:
        hub: Where they are.
        after: Number of the last event that was read.
    """

    def __init__(self, hub: Hub, after: int) -> None:
        self._hub = hub
        #: Number of the last event that was read.
        self.last = after

    def read(self, timeout_s: float) -> Sequence[Event]:
        """Return the next events; wait for them for `timeout_s`. One without a change: some were missed."""
        events = self._hub.after(self.last, timeout_s)
        if events:
            self.last = events[-1].number
        return events
