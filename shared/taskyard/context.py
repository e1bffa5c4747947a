"""What a running task can ask about its job: `current_job()`."""

import logging
import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from taskyard.job import Progress
from taskyard.telemetry import trace_context

logger = logging.getLogger(__name__)

#: Longest note of a progress, in characters.
NOTE_CHARS = 500


class CurrentJob:
    """The job that is running, as its task sees it.

    Args:
        job_id: The job's id.
        task: Name of its task.
        attempt: Number of this attempt; 1 is the first.
        report: Called with each `Progress`.
        traceparent: The trace context that the job came with; of any type, if it is no good.
    """

    def __init__(
        self,
        job_id: str,
        task: str,
        attempt: int,
        report: Callable[[Progress], None],
        *,
        traceparent: object = None,
    ) -> None:
        self.id = job_id
        self.task = task
        self.attempt = attempt
        self._report = report
        self._traceparent = traceparent

    @property
    def trace_id(self) -> str:
        """The trace that the job belongs to, as in the job document and the logs."""
        return trace_context.trace_id(self._traceparent, self.id)

    @property
    def traceparent(self) -> str | None:
        """The trace context that the job came with (W3C), or None."""
        return trace_context.valid(self._traceparent)

    @property
    def logger(self) -> Any:
        """A structlog logger that puts the job's id, task, attempt and trace on every line."""
        import structlog  # who only imports tasks need not pay for it

        return structlog.get_logger(f"task.{self.task}").bind(**self.log_facts())

    def log_facts(self) -> dict[str, Any]:
        """Return what every log line about this attempt has."""
        return {
            "job_id": self.id,
            "task": self.task,
            "attempt": self.attempt,
            "trace_id": self.trace_id,
        }

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Show how far the task is; cheap enough for every step of a loop.

        The store gets at most a few a second, and always the last one.

        Args:
            done: Steps done.
            total: Steps in all, or None if that is not known.
            note: A few words for people, at most 500 characters of them.
        """
        numbers = float(done), None if total is None else float(total)
        if not all(math.isfinite(number) for number in numbers if number is not None):
            # Never a reason for the job to fail.
            logger.warning("progress is not told: it is not finite", extra={"job_id": self.id})
            return
        # What is no Unicode becomes longer as it is spelled out: cut again.
        text = str(note)[:NOTE_CHARS].encode(errors="backslashreplace").decode()[:NOTE_CHARS]
        self._report(Progress(*numbers, text))


_current: ContextVar[CurrentJob | None] = ContextVar("taskyard_current_job", default=None)


def current_job() -> CurrentJob:
    """Return the job that this code runs for; outside a worker, a stand-in that only logs.

    So a task that reports its progress can be called as a plain function.
    """
    return _current.get() or CurrentJob("none", "none", 0, _log_progress)


def job_of_line() -> CurrentJob | None:
    """Return the job that this code runs for, or None outside one; for the log."""
    return _current.get()


def set_current_job(job: CurrentJob | None) -> None:
    """Tie `job` to this thread and the coroutines that it starts; for the worker."""
    _current.set(job)


def _log_progress(progress: Progress) -> None:
    logger.debug("progress outside a worker: %s", progress)
