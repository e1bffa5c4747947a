"""The skeleton of every background loop: start, stop, and a `run_once` that tests call."""

import contextlib
import logging
import math
import signal
import threading
import time
from collections.abc import Callable

from taskyard.errors import Unavailable
from taskyard.telemetry.metrics import LOOP_RUNS, LOOP_SECONDS

logger = logging.getLogger(__name__)

#: Longest pause after a failure, in seconds.
MAX_PAUSE_S = 5.0
#: Longest single wait for work, in seconds: between two of them a loop sees that it is to stop.
MAX_WAIT_S = 1.0


class Loop:
    """Calls `run_once` again and again in a thread of its own, and goes on when it fails.

    Args:
        name: What the loop is called in logs and metrics.
        run_once: One pass; may return the seconds until the next, at most `interval_s`.
        interval_s: Pause between passes, in seconds.
        await_work: Waits so many seconds, or less if there is work before; None: nothing shortens a pause.
        max_pause_s: Longest pause after a failure, in seconds.
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], float | None],
        *,
        interval_s: float,
        await_work: Callable[[float], object] | None = None,
        max_pause_s: float = MAX_PAUSE_S,
    ) -> None:
        self.name = name
        self.run_once = run_once
        self._interval_s = interval_s
        self._await_work = await_work
        self._max_pause_s = max_pause_s
        self._stopping = threading.Event()
        self._ticked_at = time.monotonic()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        LOOP_RUNS.labels(self.name, "failed")  # with 0: `increase()` does not see the first value
        self._ticked_at = time.monotonic()
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Return when the pass under way has ended; safe to call twice, and without `start`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def is_failing(self) -> bool:
        """Whether the last pass failed."""
        return self._failures > 0

    def silent_s(self) -> float:
        """Return the seconds since the loop last ended a pass or a wait for work: a stuck one shows here."""
        return time.monotonic() - self._ticked_at

    def pass_once(self) -> float:
        """Call `run_once`, and count and log how that went; return the seconds until the next pass."""
        started = time.monotonic()
        try:
            wanted_s = self.run_once()
        except Unavailable as error:
            logger.warning("%s waits: %s", self.name, error)
            return self._failed()
        except Exception:
            logger.exception("%s failed", self.name)
            return self._failed()
        self._failures = 0
        LOOP_RUNS.labels(self.name, "ok").inc()
        LOOP_SECONDS.labels(self.name).observe(time.monotonic() - started)
        return self._interval_s if wanted_s is None else min(wanted_s, self._interval_s)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._rest(pause_s):
            pause_s = self.pass_once()
            self._ticked_at = time.monotonic()

    def _rest(self, pause_s: float) -> bool:
        """Pause between two passes; True once the loop is to stop."""
        if self._await_work is None or self._failures:
            return self._stopping.wait(pause_s)
        until = time.monotonic() + pause_s
        try:
            while not self._stopping.is_set() and (left_s := until - time.monotonic()) > 0:
                wait_until = time.monotonic() + min(left_s, MAX_WAIT_S)
                self._await_work(min(left_s, MAX_WAIT_S))
                self._ticked_at = time.monotonic()
                if self._ticked_at < wait_until:
                    break  # there is work
        except Unavailable:
            return self._stopping.wait(max(0.0, until - time.monotonic()))
        except Exception:
            logger.exception("%s cannot wait for work", self.name)
            return self._stopping.wait(max(0.0, until - time.monotonic()))
        return self._stopping.is_set()

    def _failed(self) -> float:
        self._failures += 1
        LOOP_RUNS.labels(self.name, "failed").inc()
        pause_s = 0.1 * 2.0 ** min(self._failures, 10)
        return max(self._interval_s, min(self._max_pause_s, pause_s))


class StopRequest:
    """An event that signal handlers may set.

    A handler runs in the main thread, in the middle of whatever that does. `threading.Event` is no good
    there: where the main thread is about to wait for it, it holds the very lock that `set` wants, for ever.
    `queue.SimpleQueue` is none either: its `get` waits for ever where its time is up before it begins to
    wait, as in a process that was held up (Python 3.11). Anybody may release a plain lock, at any moment.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._bell = threading.Lock()
        self._bell.acquire()

    def set(self) -> None:
        """Ask to stop; once or often, from a thread or a signal handler."""
        self._is_set = True
        with contextlib.suppress(RuntimeError):  # it has rung already
            self._bell.release()

    def is_set(self) -> bool:
        """Return whether somebody has asked."""
        return self._is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return once somebody has asked, or after so long; True if somebody has. For one thread."""
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        # In pieces: a signal that comes in the moment before a wait does not interrupt it.
        while not self._is_set and (left_s := until - time.monotonic()) > 0:
            self._bell.acquire(timeout=min(left_s, MAX_WAIT_S))
        return self._is_set


def stop_signal() -> StopRequest:
    """Return what SIGTERM and SIGINT set; for the main thread of a service."""
    stopping = StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
