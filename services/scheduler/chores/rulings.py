"""What becomes of a job whose worker was lost: the rules, without any connection."""

import random
from dataclasses import dataclass
from typing import Literal

import msgspec

from taskyard.config import Settings
from taskyard.job import JobError
from taskyard.message import Invalid, Message, Undecodable, decode
from taskyard.policy.backoff import retry_delay_s
from taskyard.store.attempts import Lost, Outcome

Reason = Literal["worker_lost", "crash_loop", "timeout", "undecodable", "invalid"]

#: A job is tried alone each time that it was lost so often beside others, though nobody tells why: it may be
#: what takes its whole machine along, or freezes its process.
TOLERATED_LOSSES = 3


@dataclass(frozen=True)
class Ruling:
    """What to write of a lost attempt, and why; a dead letter comes first if it `is_final`."""

    outcome: Outcome
    error: JobError
    #: None: it cannot be read.
    message: Message | None

    @property
    def is_final(self) -> bool:
        """Whether the job does not run again."""
        return self.outcome.kind == "failed"

    @property
    def task(self) -> str:
        """Name of the job's task; empty if that cannot be read."""
        return "" if self.message is None else self.message.task


def rule(lost: Lost, settings: Settings, rng: random.Random) -> Ruling:
    """Decide about one lost attempt.

    One that had run past its time limit failed, and uses up a retry like any failure. Any other was its
    worker's end, which costs no retry. It counts as a crash, as what the job itself may have done, only
    where the job was alone in its process; beside others it may have died of any of them, and where the
    worker stopped in good order of none.

    Args:
        lost: The attempt.
        settings: Limits, where the message does not say.
        rng: Where the jitter of a retry comes from.
    """
    try:
        message = decode(lost.body)
    except (Undecodable, Invalid, UnicodeError) as fault:
        return _unreadable(lost, fault, settings)
    if lost.company == 0:
        return _left(lost, message)
    timeout_s = message.timeout_s or settings.task_timeout
    if lost.ran_ms > timeout_s * 1000:
        return _timed_out(lost, message, settings, rng)
    if lost.company > 1:
        return _lost_beside_others(lost, message)
    return _crashed(lost, message, settings, rng)


def _unreadable(lost: Lost, fault: Exception, settings: Settings) -> Ruling:
    reason: Reason = "invalid" if isinstance(fault, Invalid) else "undecodable"
    error = JobError("InvalidMessage", f"its record cannot be read: {fault}", reason=reason)
    return Ruling(_failed(lost, error, settings), error, None)


def _left(lost: Lost, message: Message) -> Ruling:
    """Run again what had ended, but waited for its dead letter or the store when its worker stopped."""
    text = f"worker {lost.worker} stopped, and could not tell what became of it"
    error = JobError("WorkerLost", text, reason="worker_lost")
    return Ruling(_retrying(lost, error, is_loss=True), error, message)


def _timed_out(lost: Lost, message: Message, settings: Settings, rng: random.Random) -> Ruling:
    text = f"ran {lost.ran_ms / 1000:.1f} s, past its time limit, until its worker was gone{_exit(lost)}"
    error = JobError("JobTimeout", text, reason="timeout")
    failures = max(1, lost.attempt - lost.crashes - lost.losses - message.options.attempts_before)
    max_retries = message.options.max_retries
    if failures > (settings.max_retries if max_retries is None else max_retries):
        return Ruling(_failed(lost, error, settings), error, message)
    delay_ms = _delay_ms(failures, settings, rng)
    outcome = _retrying(lost, error, delay_ms=delay_ms, is_suspect=lost.is_own_death)
    return Ruling(outcome, error, message)


def _lost_beside_others(lost: Lost, message: Message) -> Ruling:
    others = "1 other job" if lost.company == 2 else f"{lost.company - 1} other jobs"
    text = f"worker {lost.worker} was lost{_exit(lost)}, with {others}"
    error = JobError("WorkerLost", text, reason="worker_lost")
    is_suspect = lost.is_own_death or (lost.losses + 1) % TOLERATED_LOSSES == 0
    return Ruling(_retrying(lost, error, is_loss=True, is_suspect=is_suspect), error, message)


def _crashed(lost: Lost, message: Message, settings: Settings, rng: random.Random) -> Ruling:
    crashes = lost.crashes + 1
    text = f"worker {lost.worker} was lost{_exit(lost)}"
    if crashes >= settings.max_crashes:
        text = f"{text}, as {crashes} times in all"
        error = JobError("WorkerLost", text, reason="crash_loop")
        return Ruling(_failed(lost, error, settings, is_crash=True), error, message)
    error = JobError("WorkerLost", text, reason="worker_lost")
    is_suspect = lost.is_own_death
    delay_ms = _delay_ms(crashes, settings, rng) if is_suspect else 0
    outcome = _retrying(lost, error, delay_ms=delay_ms, is_crash=True, is_suspect=is_suspect)
    return Ruling(outcome, error, message)


def _delay_ms(failures: int, settings: Settings, rng: random.Random) -> int:
    return round(1000 * retry_delay_s(failures, settings.retry_min_s, settings.retry_max_s, rng))


def _exit(lost: Lost) -> str:
    return f" ({lost.exit})" if lost.exit else ""


def _retrying(
    lost: Lost,
    error: JobError,
    *,
    delay_ms: int = 0,
    is_crash: bool = False,
    is_loss: bool = False,
    is_suspect: bool = False,
) -> Outcome:
    return Outcome(
        lost.id,
        lost.token,
        "retrying",
        error=_json(error),
        delay_ms=delay_ms,
        is_crash=is_crash,
        is_loss=is_loss,
        is_suspect=is_suspect,
    )


def _failed(lost: Lost, error: JobError, settings: Settings, *, is_crash: bool = False) -> Outcome:
    return Outcome(
        lost.id,
        lost.token,
        "failed",
        error=_json(error),
        ttl_ms=settings.failed_ttl * 1000,
        is_crash=is_crash,
    )


def _json(error: JobError) -> str:
    return msgspec.json.encode(error).decode()
