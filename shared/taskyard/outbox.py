"""The outbox: jobs that are recorded, and not known to be confirmed."""

import threading
from collections.abc import Sequence

from taskyard.runtime.lifecycle import Loop
from taskyard.store import JobStore

#: How long confirmed jobs gather before they leave the outbox, in seconds; relay waits far longer.
OUTBOX_LINGER_S = 0.05
#: Longest pause without any. Seconds.
OUTBOX_IDLE_S = 60.0


class OutboxCleaner:
    """Takes confirmed jobs out of the outbox, in the background and in batches.

    Nobody has to wait for it: a job that stays in the outbox, as one that the store could not be told of, is
    published again by `relay`, and its second message is acknowledged as a duplicate.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._jobs: dict[str, int] = {}
        self._leaving: dict[str, int] = {}
        self._lock = threading.Lock()
        self._has_jobs = threading.Event()
        self._closing = threading.Event()
        self._loop: Loop | None = None

    def add(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Have confirmed jobs leave it soon; each is its id and when it was recorded, in milliseconds."""
        if not jobs:
            return
        with self._lock:
            self._jobs.update(jobs)
            if self._loop is None:
                self._loop = Loop(
                    "outbox", self._run_once, interval_s=OUTBOX_IDLE_S, await_work=self._await_jobs
                )
                self._loop.start()
        if not self._has_jobs.is_set():
            self._has_jobs.set()

    def has_confirmed(self, job_id: str, recorded_at_ms: int) -> bool:
        """Return whether a job that came into the outbox then is confirmed, and about to leave it."""
        with self._lock:
            known_ms = self._jobs.get(job_id, self._leaving.get(job_id, -1))
        return known_ms >= recorded_at_ms

    def close(self) -> None:
        """Take out what is left, and stop."""
        self._closing.set()
        self._has_jobs.set()
        if self._loop is not None:
            self._loop.stop(5)
            self._loop.pass_once()

    def _await_jobs(self, timeout_s: float) -> None:
        self._has_jobs.wait(timeout_s)

    def _run_once(self) -> None:
        if self._has_jobs.is_set():
            self._closing.wait(OUTBOX_LINGER_S)
        self._has_jobs.clear()
        with self._lock:
            self._leaving, self._jobs = self._jobs, {}
        try:
            self._store.mark_published(list(self._leaving.items()))
        finally:
            self._leaving = {}
