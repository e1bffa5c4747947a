"""What happens around a task in the thread that runs it: Dramatiq has no other hook there."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

from services.worker.attempts import traces
from services.worker.attempts.running import RunningAttempt
from taskyard import context
from taskyard.job import Progress

#: Takes a task's progress.
ReportProgress = Callable[[RunningAttempt, Progress], None]

#: The attempt that the thread runs: an actor gets its arguments only.
attempt_of_thread: ContextVar[RunningAttempt] = ContextVar("attempt")


class CurrentAttempt(Middleware):
    """Ties the attempt to the slot's thread while Dramatiq calls its actor, and keeps how it ended."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        """Make the job the current one."""
        attempt: RunningAttempt = message
        context.set_current_job(attempt.current_job(lambda p: self._report(attempt, p)))
        attempt_of_thread.set(attempt)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: Any,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Keep the error, if there is one."""
        message.error = exception
        context.set_current_job(None)


class TracedAttempt(Middleware):
    """Runs each attempt in a span; only where traces are recorded."""

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        """Begin the span."""
        traces.begin(message)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: Any,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """End the span."""
        traces.end(message, exception)
