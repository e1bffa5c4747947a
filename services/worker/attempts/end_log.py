"""What a worker logs of its jobs: a line for the end of each attempt, as long as there are not too many."""

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.worker.attempts.running import RunningAttempt
from taskyard.job import JobError, rfc3339
from taskyard.store.attempts import Outcome

logger = logging.getLogger(__name__)

#: Failures and retries that a child logs one by one in a second, whatever `LOG_JOBS` is.
FAILURES_PER_S = 20
#: So long after a second with too many of them lines are written again. Seconds.
CALM_S = 5.0

#: Where the worker was started: a task may go elsewhere, to a folder that is no more.
_HERE = f"{Path.cwd()}/"
_BAD = ("failed", "retrying")
_LEVELS = {"failed": logging.ERROR, "retrying": logging.WARNING, "stale": logging.WARNING}


class Meter:
    """Limits how many things are logged one by one, and allows none while there are too many.

    Args:
        per_s: The most in a second.
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._second = self._over_at = float("-inf")
        self._seen = 0

    def take(self, count: int, now_s: float) -> int:
        """Return how many of `count` things that have just happened may be logged."""
        if now_s - self._second >= 1:
            self._second, self._seen = now_s, 0
        room = 0 if self.is_over(now_s) else max(0, self._per_s - self._seen)
        self._seen += count
        if self._seen > self._per_s:
            self._over_at = now_s
        return min(room, count)

    def is_over(self, now_s: float) -> bool:
        """Whether there were too many a short while ago."""
        return now_s - self._over_at < CALM_S


class EndLog:
    """Logs how attempts have ended.

    Args:
        per_s: Ends of attempts that are logged one by one in a second; 0: none but failures and retries.
        clock: Returns the time, in seconds.
    """

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_wanted = per_s > 0 and logger.isEnabledFor(logging.INFO)
        self._clock = clock
        self._ends, self._failures = Meter(per_s), Meter(FAILURES_PER_S)

    def settled(
        self, entries: Sequence[tuple[Outcome, RunningAttempt]], accepted: Sequence[bool]
    ) -> None:
        """Log attempts whose outcomes the store knows now, or has refused."""
        bad = [
            (outcome, attempt, is_accepted)
            for (outcome, attempt), is_accepted in zip(entries, accepted, strict=True)
            if not is_accepted or outcome.kind in _BAD
        ]
        now_s = self._clock()
        if bad:
            for outcome, attempt, is_accepted in bad[: self._failures.take(len(bad), now_s)]:
                _log(outcome, attempt, outcome.kind if is_accepted else "stale")
        if not self._is_wanted:
            return
        left = self._ends.take(len(entries) - len(bad), now_s)
        if not left:
            return
        for (outcome, attempt), is_accepted in zip(entries, accepted, strict=True):
            if left and is_accepted and outcome.kind not in _BAD:
                left -= 1
                _log(outcome, attempt, outcome.kind)

    def silent(self) -> list[str]:
        """Return of what lines are left out now: `ends`, `failures`."""
        now_s = self._clock()
        meters = {"ends": self._ends, "failures": self._failures}
        return [name for name, meter in meters.items() if meter.is_over(now_s)]


def _log(outcome: Outcome, attempt: RunningAttempt, kind: str) -> None:
    facts: dict[str, Any] = {
        "job_id": attempt.id,
        "task": attempt.task,
        "queue": attempt.queue_name,
        "attempt": attempt.number,
        "trace_id": attempt.message.trace_id,
        "duration_s": round(attempt.ran_s, 3),
    }
    if outcome.error:
        error = msgspec.json.decode(outcome.error, type=JobError)
        facts |= {"reason": error.reason, "error_type": error.type, "where": attempt.failed_at}
    if kind == "retrying":
        facts["retry_at"] = rfc3339(round(time.time() * 1000) + outcome.delay_ms)
    if kind == "failed":
        facts["see"] = f"taskyard status {attempt.id}"
    logger.log(_LEVELS.get(kind, logging.INFO), "attempt ended: %s", kind, extra=facts)


def place_of(error: BaseException) -> str:
    """Return where an error was raised: the last line of its traceback in the user's code, without values."""
    lines = [
        (frame.f_code.co_filename, number, frame.f_code.co_name)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if not str(frame.f_globals.get("__name__")).startswith(("services.worker.", "dramatiq."))
    ]
    own = [each for each in lines if each[0].startswith(_HERE) and "/site-packages/" not in each[0]]
    if not lines:
        return ""
    file, number, name = (own or lines)[-1]
    return f"{file.removeprefix(_HERE)}:{number} in {name}"
