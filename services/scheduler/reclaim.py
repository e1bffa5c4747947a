"""The chore that takes running jobs from workers that are gone, and retries or buries them."""

import logging
import os
import random
import socket
from collections.abc import Iterator, Sequence

from services.scheduler import traces
from services.scheduler.publishing import publish_apart
from services.scheduler.rulings import Ruling, rule
from taskyard.config import Settings
from taskyard.dead_letters import dead_letter, indexed
from taskyard.errors import Unavailable
from taskyard.job import Job
from taskyard.message import DEFAULT_PRIORITY, for_attempt, new_id
from taskyard.metrics import DEAD_LETTERS, JOBS_RECLAIMED
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store import JobStore
from taskyard.store.attempts import Lost

logger = logging.getLogger(__name__)

#: Jobs of one pass; a full pass is followed by the next at once.
LIMIT = 100
#: After so many seconds in which no reclaimer reached the store, or half a lease if that is longer, workers
#: may not have reached it either: they get a lease's time to say that they live.
OUTAGE_S = 1.5


class Reclaim:
    """Reclaims lost jobs; each is held by this process's own lease until it is settled.

    Args:
        store: Where the jobs are.
        publisher: What publishes dead letters.
        settings: Limits of jobs, and deadlines.
        rng: Where the jitter of retries comes from.
    """

    def __init__(
        self, store: JobStore, publisher: Publisher, settings: Settings, rng: random.Random
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._settings = settings
        self._rng = rng
        # Unique for each start: nobody may take over the lease of one that died.
        self._owner = f"reclaim:{socket.gethostname()}:{os.getpid()}:{new_id()}"
        # Long enough to wait for a confirm and to settle after it.
        self._lease_s = max(settings.lease_s, 2 * settings.publish_deadline_s)

    def run_once(self) -> float | None:
        """Settle what was lost; return 0 if there may be more.

        Raises:
            Unavailable: If dead letters could not be published; their jobs are lost again, for anyone.
        """
        # A pass settles what it has taken. What is held by now was taken by an answer that never came; our
        # lease, which every job that we take extends, would hold it for ever.
        self._store.leave(self._owner)
        lease_s = self._settings.lease_s
        gap_ms = round(max(OUTAGE_S, lease_s / 2) * 1000)
        if self._store.forgive_outage(gap_ms, round(lease_s * 1000)):
            logger.warning("leases are extended: nobody could reach the store for some time")
        lost = self._store.lost(self._owner, round(self._lease_s * 1000), LIMIT, gap_ms=gap_ms)
        rulings = list(self._rulings(lost))
        self._settle([entry for entry in rulings if not entry[1].is_final])
        self._bury([entry for entry in rulings if entry[1].is_final])
        return 0 if len(lost) == LIMIT else None

    def _rulings(self, lost: Sequence[Lost]) -> Iterator[tuple[Lost, Ruling]]:
        """Give what becomes of each; one that raises is lost again after our lease, and stops no other."""
        for each in lost:
            try:
                yield each, rule(each, self._settings, self._rng)
            except Exception:
                logger.exception("lost job cannot be decided on", extra={"job_id": each.id})

    def _bury(self, entries: Sequence[tuple[Lost, Ruling]]) -> None:
        """Publish dead letters, and settle the jobs of those that were confirmed."""
        if not entries:
            return
        letters = [
            _letter(lost, ruling, job)
            for (lost, ruling), job in zip(entries, self._jobs(entries), strict=True)
        ]
        confirmed: list[Outgoing] = []
        try:
            confirmed = publish_apart(letters, self._publish, self._publisher)
        finally:
            ids = {letter.id for letter in confirmed}
            self._store.bury([indexed(letter) for letter in confirmed])
            self._settle([entry for entry in entries if entry[0].id in ids])
            if len(ids) < len(entries):
                self._store.leave(self._owner)
        for letter in confirmed:
            DEAD_LETTERS.labels(letter.queue, (letter.headers or {})["taskyard-reason"]).inc()

    def _jobs(self, entries: Sequence[tuple[Lost, Ruling]]) -> list[Job | None]:
        """Return the jobs of those that can be read: their letters tell when they failed first."""
        readable = [lost.id for lost, ruling in entries if ruling.message is not None]
        jobs = dict(zip(readable, self._store.get(readable), strict=True))
        return [jobs.get(lost.id) for lost, _ in entries]

    def _publish(self, letters: Sequence[Outgoing]) -> dict[int, Failure]:
        deadline_s = self._settings.publish_deadline_s
        return self._publisher.publish_each(letters, deadline_s=deadline_s, is_whole=False)

    def _settle(self, entries: Sequence[tuple[Lost, Ruling]]) -> None:
        if not entries:
            return
        try:
            accepted = self._store.settle([ruling.outcome for _, ruling in entries])
        except Unavailable:
            raise
        except Exception:
            if len(entries) == 1:
                # Its lease runs out once more; the others go on.
                logger.exception("lost job cannot be settled", extra={"job_id": entries[0][0].id})
                return
            for entry in entries:
                self._settle([entry])
            return
        for (lost, ruling), is_accepted in zip(entries, accepted, strict=True):
            if is_accepted:
                JOBS_RECLAIMED.labels(ruling.error.reason).inc()
                _log(lost, ruling)
                traces.reclaimed(lost, ruling)


def _letter(lost: Lost, ruling: Ruling, job: Job | None) -> Outgoing:
    failures = [
        attempt.finished_at for attempt in (job.attempts if job else []) if attempt.finished_at
    ]
    message = ruling.message
    body = lost.body if message is None else for_attempt(lost.body, lost.attempt)
    return dead_letter(
        lost.queue,
        body.encode(errors="surrogateescape"),  # as its last message was
        id=lost.id,
        task=ruling.task,
        reason=ruling.error.reason,
        error=ruling.error,
        attempts=0 if message is None else lost.attempt,  # 0: nothing to run again
        first_failed_at_ms=failures[0] if failures else None,
        worker=lost.worker,
        priority=DEFAULT_PRIORITY if message is None else message.priority,
    )


def _log(lost: Lost, ruling: Ruling) -> None:
    logger.warning(
        "job reclaimed from a lost worker",
        extra={
            "job_id": lost.id,
            "task": ruling.task,
            "attempt": lost.attempt,
            "trace_id": ruling.message.trace_id if ruling.message else None,
            "worker": lost.worker,
            "exit": lost.exit,
            "reason": ruling.error.reason,
            "outcome": ruling.outcome.kind,
            "is_suspect": ruling.outcome.is_suspect,
        },
    )
