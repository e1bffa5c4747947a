"""One lost job: what becomes of it, what its dead letter says, and what the log does."""

import logging
from dataclasses import dataclass

from services.scheduler.chores.rulings import Ruling
from taskyard.dead_letters.message import dead_letter
from taskyard.job import Job
from taskyard.message import DEFAULT_PRIORITY, for_attempt
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.store.attempts import Lost

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Case:
    """One lost job, and what becomes of it."""

    lost: Lost
    ruling: Ruling

    @property
    def queue(self) -> str:
        """The queue that its dead letter belongs to."""
        return self.lost.queue

    @property
    def attempt(self) -> tuple[str, int]:
        """What tells the lost attempt from all others."""
        return self.lost.id, self.lost.attempt


def letter(case: Case, job: Job | None) -> Outgoing:
    """Return its dead letter; the job tells when it failed first, None if that cannot be read."""
    lost, ruling = case.lost, case.ruling
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


def log(case: Case) -> None:
    """Say that it was reclaimed."""
    lost, ruling = case.lost, case.ruling
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
