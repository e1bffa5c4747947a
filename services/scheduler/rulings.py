"""What becomes of a job whose worker was lost: the rules, without any connection."""

import random
from dataclasses import dataclass
from typing import Literal

import msgspec

from taskyard.config import Settings
from taskyard.job import JobError
from taskyard.message import Message, decode
from taskyard.retry import retry_delay_s
from taskyard.store.attempts import Lost, Outcome

Reason = Literal["worker_lost", "crash_loop", "timeout"]


@dataclass(frozen=True)
class Ruling:
    """What to write of a lost attempt, and why; a dead letter comes first if it `is_final`."""

    outcome: Outcome
    error: JobError
    message: Message

    @property
    def is_final(self) -> bool:
        """Whether the job does not run again."""
        return self.outcome.kind == "failed"


def rule(lost: Lost, settings: Settings, rng: random.Random) -> Ruling:
    """Decide about one lost attempt.

    One that had run past its time limit failed, and uses up a retry like any failure. Any other was its
    worker's end, which costs no retry but counts as a crash: the job may be what kills its workers.

    Args:
        lost: The attempt.
        settings: Limits, where the message does not say.
        rng: Where the jitter of a retry comes from.
    """
    message = decode(lost.body)
    timeout_s = message.timeout_s or settings.task_timeout
    if lost.ran_ms > timeout_s * 1000:
        return _timed_out(lost, message, settings, rng)
    return _crashed(lost, message, settings)


def _timed_out(lost: Lost, message: Message, settings: Settings, rng: random.Random) -> Ruling:
    text = f"ran {lost.ran_ms / 1000:.1f} s, past its time limit, until its worker was gone{_exit(lost)}"
    error = JobError("JobTimeout", text, reason="timeout")
    failures = max(1, lost.attempt - lost.crashes - message.options.attempts_before)
    max_retries = message.options.max_retries
    if failures > (settings.max_retries if max_retries is None else max_retries):
        return Ruling(_failed(lost, error, settings), error, message)
    delay_s = retry_delay_s(failures, settings.retry_min_s, settings.retry_max_s, rng)
    return Ruling(_retrying(lost, error, delay_ms=round(delay_s * 1000)), error, message)


def _crashed(lost: Lost, message: Message, settings: Settings) -> Ruling:
    crashes = lost.crashes + 1
    text = f"worker {lost.worker} was lost{_exit(lost)}"
    if crashes < settings.max_crashes:
        error = JobError("WorkerLost", text, reason="worker_lost")
        return Ruling(_retrying(lost, error, is_crash=True), error, message)
    error = JobError("WorkerLost", f"{text}, as {crashes} times in all", reason="crash_loop")
    return Ruling(_failed(lost, error, settings, is_crash=True), error, message)


def _exit(lost: Lost) -> str:
    return f" ({lost.exit})" if lost.exit else ""


def _retrying(lost: Lost, error: JobError, *, delay_ms: int = 0, is_crash: bool = False) -> Outcome:
    return Outcome(
        lost.id, lost.token, "retrying", error=_json(error), delay_ms=delay_ms, is_crash=is_crash
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
