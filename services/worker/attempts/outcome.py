"""What an attempt's end means for its job: completed, retried, failed, cancelled or handed back."""

import random
import traceback
from collections.abc import Callable
from functools import partial

import msgspec

from services.worker.attempts.refusal import InvalidMessage
from services.worker.attempts.running import RunningAttempt
from taskyard.arguments.secrets import scrubbed
from taskyard.arguments.signature import described
from taskyard.config import Settings
from taskyard.errors import (
    JobCancelled,
    JobLost,
    JobTimeout,
    Retry,
    TaskyardError,
    WorkerStopping,
)
from taskyard.job import JobError
from taskyard.policy.decide import Decision, count_failures, decide, waits
from taskyard.runtime.short_text import both_ends, json_bytes
from taskyard.store.attempts import Outcome
from taskyard.task import Task
from taskyard.task_options import TaskOptions

#: The most that the texts of an error take as JSON: 25 attempts are kept of a job, in 200 KiB.
ERROR_BYTES = 7_600
#: The most of it for the error's type and for its message; its traceback has the rest.
TYPE_BYTES = 200
MESSAGE_BYTES = 2_000


class ResultTooLarge(TaskyardError):
    """A task returned more than `RESULT_MAX_BYTES`."""

    code = "result_too_large"


class ResultNotJson(TaskyardError):
    """A task returned something that has no JSON form."""

    code = "result_not_json"


class InvalidArguments(TaskyardError):
    """A job's arguments do not fit its task."""

    code = "invalid"


class UnknownTask(TaskyardError):
    """No worker that knows the task appeared in time."""

    code = "unknown_task"


#: Trying again cannot help with these.
_FINAL = (ResultTooLarge, ResultNotJson, InvalidArguments, InvalidMessage, UnknownTask)


class Decider:
    """Decides what becomes of an attempt that has ended.

    Args:
        settings: Defaults, and how long records are kept.
        rng: Where the jitter comes from.
    """

    def __init__(self, settings: Settings, rng: random.Random | None = None) -> None:
        self._settings = settings
        self._rng = rng or random.Random()
        self._result_ttl_ms = settings.result_ttl * 1000
        self._failed_ttl_ms = settings.failed_ttl * 1000

    def decide(
        self, attempt: RunningAttempt, error: BaseException | None, task: Task[..., object] | None
    ) -> Decision:
        """Return what follows from `error`, or from `attempt.result` if it is None."""
        if error is None:
            return self._decision(attempt, "completed", result=attempt.result)
        if isinstance(error, (WorkerStopping, JobLost)):  # a lost one is refused by its token
            return self._decision(attempt, "released")
        if isinstance(error, JobCancelled):
            return self._decision(attempt, "cancelled")
        scrub = _scrubber(attempt, task)
        own = task.options.final_errors if task else ()
        final: tuple[type[BaseException], ...] = (*_FINAL, *own)
        delay_ms = None if isinstance(error, final) else self._delay_ms(attempt, task, error)
        if delay_ms is None:
            failure = describe(error, _dead_reason(error, final), scrub=scrub)
            return self._decision(attempt, "failed", error=failure)
        reason = "timeout" if isinstance(error, JobTimeout) else "error"
        failure = describe(error, reason, scrub=scrub)
        return self._decision(attempt, "retrying", error=failure, delay_ms=delay_ms)

    def _decision(
        self,
        attempt: RunningAttempt,
        kind: str,
        *,
        result: str = "",
        error: JobError | None = None,
        delay_ms: int = 0,
    ) -> Decision:
        progress = attempt.last_progress
        outcome = Outcome(
            attempt.id,
            attempt.token,
            kind,  # type: ignore[arg-type]  # given by `decide` only
            result,
            "" if error is None else msgspec.json.encode(error).decode(),
            delay_ms,
            self._failed_ttl_ms if kind == "failed" else self._result_ttl_ms,
            False,
            "" if progress is None else msgspec.json.encode(progress).decode(),
            attempt.number,
        )
        return Decision(outcome, error)

    def _delay_ms(
        self, attempt: RunningAttempt, task: Task[..., object] | None, error: BaseException
    ) -> int | None:
        failures = count_failures(attempt.number, attempt.message, lost=attempt.crashes)
        options = TaskOptions() if task is None else task.options
        return decide(
            failures,
            attempt.max_retries,
            waits(self._settings, min_s=options.retry_min_s, max_s=options.retry_max_s),
            self._rng,
            delay_s=error.delay_s if isinstance(error, Retry) else None,
        )


def _dead_reason(error: BaseException, final: tuple[type[BaseException], ...]) -> str:
    if isinstance(error, _FINAL):
        return error.code
    if isinstance(error, final):
        return "final_error"
    return "timeout" if isinstance(error, JobTimeout) else "retries_exhausted"


def _scrubber(attempt: RunningAttempt, task: Task[..., object] | None) -> Callable[[str], str]:
    """Return what takes the values of a job's secret arguments out of a text."""
    if task is None or not (signature := described(task.function))["secret"]:
        return str
    message = attempt.message
    return partial(scrubbed, description=signature, args=message.args, kwargs=message.kwargs)


def describe(error: BaseException, reason: str, *, scrub: Callable[[str], str] = str) -> JobError:
    """Return an error in bounded texts; one that cannot even be printed is told by its type.

    Args:
        error: The error.
        reason: Why the attempt ended, in a word.
        scrub: What takes secrets out of its texts.
    """
    try:
        message = scrub(str(error))
    except BaseException as broken:  # noqa: BLE001 - its methods are the user's code
        message = f"(its text raised {type(broken).__name__})"
    try:
        trace = scrub("".join(_traceback(error)))
    except BaseException:  # noqa: BLE001 - as above
        trace = ""
    if not message and isinstance(error, JobTimeout):
        message = "the task ran longer than its timeout_s"
    name = both_ends(type_name(error), TYPE_BYTES)
    message = both_ends(message, MESSAGE_BYTES)
    left_bytes = ERROR_BYTES - json_bytes(name) - json_bytes(message)
    # The ends of a traceback tell most.
    trace = both_ends(trace, left_bytes)
    return JobError(type=name, message=message, traceback=trace, reason=reason)


def type_name(error: BaseException) -> str:
    """Return the name of an error's type as the user knows it."""
    return type(error).__name__


def _traceback(error: BaseException) -> list[str]:
    """Return the traceback without the frames of the worker above the user's function."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return traceback.format_exception(type(error), error, frames or error.__traceback__, limit=50)


def _is_ours(file_name: str) -> bool:
    return "/services/worker/" in file_name or "/dramatiq/" in file_name
