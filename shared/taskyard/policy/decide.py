"""Whether a job runs again after a failed attempt, and when: one rule for worker and scheduler."""

import random

import msgspec

from taskyard.config import Settings
from taskyard.job import JobError
from taskyard.message import MAX_SECONDS, Message
from taskyard.policy.backoff import retry_delay_s
from taskyard.store.attempts import Outcome


class Waits(msgspec.Struct, frozen=True, array_like=True):
    """The shortest and the longest wait before a retry, in seconds."""

    min_s: float
    max_s: float


class Decision(msgspec.Struct, frozen=True):
    """What to write of an attempt that has ended.

    Args:
        outcome: The outcome for the store.
        error: Why it did not succeed; None if it did, or was cancelled or handed back.
    """

    outcome: Outcome
    error: JobError | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job has failed for good: its dead letter is written before the outcome."""
        return self.outcome.kind == "failed"


def waits(settings: Settings, *, min_s: float | None = None, max_s: float | None = None) -> Waits:
    """Return the waits of a task's jobs; what the task leaves open (None) is the settings'.

    A shortest wait above the longest raises that: a task may set only the one.
    """
    low = settings.retry_min_s if min_s is None else min_s
    high = settings.retry_max_s if max_s is None else max_s
    return Waits(low, max(low, high))


def count_failures(number: int, message: Message, *, lost: int) -> int:
    """Return how many attempts have failed with this one, since an operator's latest retry; at least 1.

    Args:
        number: Number of the attempt that failed.
        message: The job's message.
        lost: How many attempts ended with the loss of their worker: these cost no retry.
    """
    return max(1, number - lost - message.options.attempts_before)


def decide(
    failures: int,
    max_retries: int,
    waits: Waits,
    rng: random.Random,
    *,
    delay_s: float | None = None,
) -> int | None:
    """Return the wait before the next attempt in milliseconds, or None if the job has failed.

    Args:
        failures: Attempts that have failed, as `count_failures` counts them.
        max_retries: How many retries the job has.
        waits: Bounds of the backoff.
        rng: Where its jitter comes from.
        delay_s: The wait that the task itself asks for, of any value; None, or one that is none, is backoff.
    """
    if failures > max_retries:
        return None
    if delay_s is not None and delay_s >= 0:  # nan is not
        return round(min(delay_s, MAX_SECONDS) * 1000)
    return backoff_ms(failures, waits, rng)


def backoff_ms(failures: int, waits: Waits, rng: random.Random) -> int:
    """Return the wait after so many failures, or crashes, in milliseconds."""
    return round(1000 * retry_delay_s(failures, waits.min_s, waits.max_s, rng))
