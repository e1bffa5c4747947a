"""What happens to running jobs from outside: time limits, cancellations, lost leases, progress."""

import logging
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

import msgspec

from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Settler
from taskyard.config import Settings
from taskyard.errors import JobCancelled, JobInterrupt, JobTimeout
from taskyard.job import Progress
from taskyard.runtime.apart import Apart
from taskyard.store import JobStore
from taskyard.telemetry.metrics import JOBS_GIVEN_BACK

logger = logging.getLogger(__name__)

#: How often time limits are looked at, in seconds.
WATCH_S = 0.1
#: How long a claimed job may wait for its slot before another worker gets it, in seconds.
CLAIM_WAIT_S = 0.5
#: How often the store hears of a job's progress at most, in seconds.
PROGRESS_S = 0.25


class Retire(Protocol):
    """What ends the child in good order, for a reason."""

    def __call__(self, reason: str) -> None:
        """Begin to end."""


class Watch:
    """Looks after the attempts of a child.

    Args:
        registry: Has the attempts.
        settler: Decides about attempts that do not end by themselves.
        store: Gets progress and heartbeats.
        settings: Limits and lease.
        owner: Id of the lease.
        over: Gives the number of the last claim call that is over.
        retire: Called when a task does not stop: only the end of its process stops it.
    """

    def __init__(
        self,
        registry: AttemptRegistry,
        settler: Settler,
        store: JobStore,
        settings: Settings,
        owner: str,
        *,
        over: Callable[[], int],
        retire: Retire,
    ) -> None:
        self._registry = registry
        self._settler = settler
        self._store = store
        self._settings = settings
        self._owner = owner
        self._over = over
        self._retire = retire
        self._unsent: dict[str, tuple[RunningAttempt, Progress]] = {}
        self._apart = Apart("attempt")
        self._progress_apart = Apart("progress")

    def report(self, attempt: RunningAttempt, progress: Progress) -> None:
        """Take a task's progress; the store hears of it within a quarter of a second."""
        attempt.last_progress = progress
        self._unsent[attempt.id] = attempt, progress

    def run_once(self) -> None:
        """Hand back what finds no slot, and interrupt what is past its limit.

        An interrupt that was lost on its way is raised again, until it has landed.
        """
        attempts = self._registry.unsettled()
        self._apart.keep({each.id for each in attempts}.__contains__)
        self._apart.each(attempts, self._look_after, key=lambda each: each.id)

    def heartbeat(self, info: dict[str, Any]) -> Collection[str]:
        """Extend the lease, and interrupt the jobs that are cancelled or no longer ours.

        What the store holds for this child and the child does not run is taken back by it. Returns the queues
        that are paused.
        """
        # In this order: what began between the two is then in the heartbeat, and not taken for a grant that
        # never arrived.
        over = self._over()
        running = self._registry.by_job()
        beat = self._store.heartbeat(
            self._owner,
            info,
            round(self._settings.lease_s * 1000),
            [(attempt.id, attempt.token) for attempt in running.values()],
            over=over,
        )
        # Meanwhile another attempt of the same job may have begun here: the answer is not about that one.
        for job_id in beat.cancelled:
            if job_id in running:
                running[job_id].ask_to_stop(JobCancelled)
        for job_id in beat.lost:
            self._registry.lose(running[job_id])
        for job_id in beat.given_back:
            JOBS_GIVEN_BACK.inc()
            logger.warning("job given back: its claim was never answered", extra={"job_id": job_id})
        return beat.paused

    def send_progress(self) -> None:
        """Send the store how far tasks are. What it refuses is not sent again: the next report is newer."""
        unsent, self._unsent = self._unsent, {}
        self._progress_apart.keep(self._registry.__contains__)
        self._progress_apart.each(unsent.values(), self._send, key=lambda each: each[0].id)

    def _send(self, report: tuple[RunningAttempt, Progress]) -> None:
        attempt, progress = report
        if attempt.id in self._registry:
            text = msgspec.json.encode(progress).decode()
            self._store.progress(attempt.id, attempt.token, text)

    def _look_after(self, attempt: RunningAttempt) -> None:
        if attempt.waits_for_slot(CLAIM_WAIT_S):
            self._settler.hand_back_waiting(attempt)
        else:
            self._limit(attempt)
            attempt.raise_again()

    def _limit(self, attempt: RunningAttempt) -> None:
        grace_s = self._settings.hard_limit_grace_s
        if attempt.is_over(attempt.timeout_s):
            attempt.interrupt(JobTimeout)
        asked_at = attempt.cancel_asked
        if attempt.is_over(attempt.timeout_s + grace_s):
            self._give_up(attempt, JobTimeout("the task did not stop at its time limit"))
        elif asked_at is not None and attempt.is_over(0) and time.monotonic() - asked_at > grace_s:
            self._give_up(attempt, JobCancelled("the task did not stop when it was cancelled"))

    def _give_up(self, attempt: RunningAttempt, error: JobInterrupt) -> None:
        if self._settler.abandon(attempt, error):
            self._retire(f"job {attempt.id} of task {attempt.task} does not stop")
