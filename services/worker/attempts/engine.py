"""The thread that drives the executor: round after round while there is work, with pauses without the store.

One thread settles and claims, so that while one batch is at the store the next one fills: no batch waits to
become larger, and none has to be of size one under load.
"""

import logging
import threading

from services.worker.attempts.executor import Executor
from services.worker.dramatiq_bridge.slots import Slots
from taskyard.config import Settings
from taskyard.errors import StoreUnavailable

logger = logging.getLogger(__name__)

#: How long the first slot has a batch for itself, before others are woken for the rest. Seconds.
SPREAD_AFTER_S = 0.0002
#: Longest pause while the store is away, in seconds, and as a part of a lease: once the store is back, the
#: leases hold for a lease's time, and every child that runs jobs has to send a heartbeat before.
MAX_PAUSE_S = 2.0
SOON_PART = 0.25


class Engine:
    """Runs rounds in a thread of its own.

    Args:
        executor: Does a round.
        slots: Has attempts that wait for a thread, after a round.
        settings: How long a call to the store may take, and a lease.
    """

    def __init__(self, executor: Executor, slots: Slots, settings: Settings) -> None:
        self._executor = executor
        self._slots = slots
        self._store_timeout_s = settings.store_timeout_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._pause_s = 0.0
        self._max_pause_s = min(MAX_PAUSE_S, settings.lease_s * SOON_PART)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is not settled is left to the leases. Safe to call twice."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._store_timeout_s + 1)

    def wake(self) -> None:
        """Look for work: a delivery has arrived, or an attempt has ended."""
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._work()

    def _work(self) -> None:
        try:
            self._await_work()
            while not self._stopping.is_set() and self._executor.run_once():
                self._pause_s = 0.0
        except StoreUnavailable as error:
            self._pause_s = min(self._max_pause_s, max(0.1, self._pause_s * 2))
            logger.warning("jobs wait for the store: %s", error)
            self._stopping.wait(self._pause_s)
            self._wake.set()
        except Exception:
            logger.exception("engine failed")
            self._stopping.wait(1.0)
            self._wake.set()

    def _await_work(self) -> None:
        if self._slots.has_waiting:
            self._wake.wait(SPREAD_AFTER_S)
            self._slots.spread()
        self._wake.wait(self._executor.isolation.next_s())
        self._wake.clear()
