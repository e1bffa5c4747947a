"""A job whose worker was lost: what becomes of it, its dead letter, and its line in the log."""

import logging
import random
from collections.abc import Callable
from typing import Literal

import msgspec

from taskyard.config import Settings
from taskyard.dead_letters.message import dead_letter
from taskyard.job import Job, JobError
from taskyard.message import DEFAULT_PRIORITY, Invalid, Message, Undecodable, decode, for_attempt
from taskyard.policy.decide import Decision, Waits, backoff_ms, count_failures, decide
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.store.attempts import Lost, Outcome

logger = logging.getLogger(__name__)

Reason = Literal["worker_lost", "crash_loop", "timeout", "undecodable", "invalid"]

#: A job is tried alone each time that it was lost so often beside others, though nobody tells why: it may be
#: what takes its whole machine along, or freezes its process.
TOLERATED_LOSSES = 3


class LostJob(msgspec.Struct, frozen=True, eq=False):
    """A lost attempt, and what becomes of its job.

    Args:
        lost: The attempt.
        decision: What to write of it; a dead letter comes first if that is final.
        error: Why.
        message: The job's message; None if it cannot be read.
    """

    lost: Lost
    decision: Decision
    error: JobError
    message: Message | None

    @property
    def queue(self) -> str:
        """The queue that its dead letter belongs to."""
        return self.lost.queue

    @property
    def attempt(self) -> tuple[str, int]:
        """What identifies the lost attempt."""
        return self.lost.id, self.lost.attempt

    @property
    def task(self) -> str:
        """Name of the job's task; empty if that cannot be read."""
        return "" if self.message is None else self.message.task


class Rules(msgspec.Struct, frozen=True):
    """What decides about lost attempts.

    Args:
        settings: Limits, where the message and the task do not say.
        waits_of: Returns the waits before retries of a task, by its name.
        rng: Where the jitter of a retry comes from.
    """

    settings: Settings
    waits_of: Callable[[str], Waits]
    rng: random.Random


def decide_lost(lost: Lost, rules: Rules) -> LostJob:
    """Decide about one lost attempt.

    One that had run past its time limit failed, and uses up a retry like any failure. Any other was its
    worker's end, which costs no retry. It counts as a crash, as what the job itself may have done, only
    where the job was alone in its process; beside others any of them may have done it, and where the
    worker stopped in good order none.
    """
    try:
        message = decode(lost.body)
    except (Undecodable, Invalid, UnicodeError) as fault:
        return _unreadable(lost, fault, rules.settings)
    if lost.company == 0:
        return _left(lost, message)
    timeout_s = message.timeout_s or rules.settings.task_timeout
    if lost.ran_ms > timeout_s * 1000:
        return _timed_out(lost, message, rules)
    if lost.company > 1:
        return _lost_beside_others(lost, message)
    return _crashed(lost, message, rules)


def _unreadable(lost: Lost, fault: Exception, settings: Settings) -> LostJob:
    reason: Reason = "invalid" if isinstance(fault, Invalid) else "undecodable"
    error = JobError("InvalidMessage", f"its record cannot be read: {fault}", reason=reason)
    return _failed(lost, error, None, settings)


def _left(lost: Lost, message: Message) -> LostJob:
    """Run again what had ended, but waited for its dead letter or the store when its worker stopped."""
    text = f"worker {lost.worker} stopped, and could not tell what became of it"
    error = JobError("WorkerLost", text, reason="worker_lost")
    return _retrying(lost, error, message, is_loss=True)


def _timed_out(lost: Lost, message: Message, rules: Rules) -> LostJob:
    text = f"ran {lost.ran_ms / 1000:.1f} s, past its time limit, until its worker was gone{_exit(lost)}"
    error = JobError("JobTimeout", text, reason="timeout")
    max_retries = message.options.max_retries
    delay_ms = decide(
        count_failures(lost.attempt, message, lost=lost.crashes + lost.losses),
        rules.settings.max_retries if max_retries is None else max_retries,
        rules.waits_of(message.task),
        rules.rng,
    )
    if delay_ms is None:
        return _failed(lost, error, message, rules.settings)
    return _retrying(lost, error, message, delay_ms=delay_ms, is_suspect=lost.is_own_death)


def _lost_beside_others(lost: Lost, message: Message) -> LostJob:
    others = "1 other job" if lost.company == 2 else f"{lost.company - 1} other jobs"
    text = f"worker {lost.worker} was lost{_exit(lost)}, with {others}"
    error = JobError("WorkerLost", text, reason="worker_lost")
    is_suspect = lost.is_own_death or (lost.losses + 1) % TOLERATED_LOSSES == 0
    return _retrying(lost, error, message, is_loss=True, is_suspect=is_suspect)


def _crashed(lost: Lost, message: Message, rules: Rules) -> LostJob:
    crashes = lost.crashes + 1
    text = f"worker {lost.worker} was lost{_exit(lost)}"
    if crashes >= rules.settings.max_crashes:
        text = f"{text}, as {crashes} times in all"
        error = JobError("WorkerLost", text, reason="crash_loop")
        return _failed(lost, error, message, rules.settings, is_crash=True)
    error = JobError("WorkerLost", text, reason="worker_lost")
    is_suspect = lost.is_own_death
    delay_ms = backoff_ms(crashes, rules.waits_of(message.task), rules.rng) if is_suspect else 0
    return _retrying(lost, error, message, delay_ms=delay_ms, is_crash=True, is_suspect=is_suspect)


def _exit(lost: Lost) -> str:
    return f" ({lost.exit})" if lost.exit else ""


def _retrying(
    lost: Lost,
    error: JobError,
    message: Message,
    *,
    delay_ms: int = 0,
    is_crash: bool = False,
    is_loss: bool = False,
    is_suspect: bool = False,
) -> LostJob:
    outcome = Outcome(
        lost.id,
        lost.token,
        "retrying",
        error=_json(error),
        delay_ms=delay_ms,
        is_crash=is_crash,
        is_loss=is_loss,
        is_suspect=is_suspect,
    )
    return LostJob(lost, Decision(outcome, error), error, message)


def _failed(
    lost: Lost,
    error: JobError,
    message: Message | None,
    settings: Settings,
    *,
    is_crash: bool = False,
) -> LostJob:
    outcome = Outcome(
        lost.id,
        lost.token,
        "failed",
        error=_json(error),
        ttl_ms=settings.failed_ttl * 1000,
        is_crash=is_crash,
    )
    return LostJob(lost, Decision(outcome, error), error, message)


def _json(error: JobError) -> str:
    return msgspec.json.encode(error).decode()


def letter(case: LostJob, job: Job | None) -> Outgoing:
    """Return its dead letter; `job` has when it failed first; None if it cannot be read."""
    lost = case.lost
    failures = [
        attempt.finished_at for attempt in (job.attempts if job else []) if attempt.finished_at
    ]
    message = case.message
    body = lost.body if message is None else for_attempt(lost.body, lost.attempt)
    return dead_letter(
        lost.queue,
        body.encode(errors="surrogateescape"),  # as its last message was
        id=lost.id,
        task=case.task,
        error=case.error,
        attempts=0 if message is None else lost.attempt,  # 0: nothing to run again
        first_failed_at_ms=failures[0] if failures else None,
        worker=lost.worker,
        priority=DEFAULT_PRIORITY if message is None else message.priority,
    )


def log(case: LostJob) -> None:
    """Say that it was reclaimed."""
    lost = case.lost
    logger.warning(
        "job reclaimed from a lost worker",
        extra={
            "job_id": lost.id,
            "task": case.task,
            "attempt": lost.attempt,
            "trace_id": case.message.trace_id if case.message else None,
            "worker": lost.worker,
            "exit": lost.exit,
            "reason": case.error.reason,
            "outcome": case.decision.outcome.kind,
            "is_suspect": case.decision.outcome.is_suspect,
        },
    )
