"""taskyard's tasks as Dramatiq's actors: the broker that holds them, and what runs in a slot."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO, Middleware

from services.worker.attempts.outcome import InvalidArguments, ResultNotJson, ResultTooLarge
from services.worker.attempts.running import RunningAttempt
from services.worker.dramatiq_bridge.coroutines import in_event_loop
from services.worker.dramatiq_bridge.middleware import (
    CurrentAttempt,
    ReportProgress,
    TracedAttempt,
    attempt_of_thread,
)
from taskyard.arguments.conversion import converter
from taskyard.arguments.results import encoder
from taskyard.errors import InvalidSubmission, JobInterrupt
from taskyard.task import Task
from taskyard.telemetry import tracing
from taskyard.validation.nesting import check_json_depth

#: For actors' own lines, which have the job's arguments at level debug.
_SILENT = logging.getLogger("dramatiq.taskyard")
_SILENT.disabled = True


class ActorBroker(dramatiq.Broker):
    """Holds the actors for Dramatiq's worker threads; messages come and go by taskyard's own engine.

    So there are no delay queues, no retry middleware and no expiring dead-letter queues.
    """

    def declare_queue(self, queue_name: str) -> None:
        """Remember the queue; the consumer declares it at RabbitMQ."""
        self.queues.setdefault(queue_name, None)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> Any:
        """Refuse: an actor's `send` would go round the store."""
        raise RuntimeError(f"call .delay() or .apply_async() of the task {message.actor_name!r}")


def make_broker(
    tasks: Mapping[str, Task[..., Any]], *, report: ReportProgress, result_max_bytes: int
) -> ActorBroker:
    """Return a broker with an actor for each task.

    Args:
        tasks: The tasks by name.
        report: Called with an attempt and its progress.
        result_max_bytes: Largest result as JSON.
    """
    middleware: list[Middleware] = [CurrentAttempt(report)]
    if tracing.active() is not None:
        middleware.append(TracedAttempt())
    if any(inspect.iscoroutinefunction(task.function) for task in tasks.values()):
        middleware.insert(0, AsyncIO())
    broker = ActorBroker(middleware=middleware)
    for task in tasks.values():
        actor: dramatiq.Actor[..., None] = dramatiq.Actor(
            _runner(task, result_max_bytes),
            broker=broker,
            actor_name=task.name,
            queue_name=task.options.queue,
            priority=0,
            options={},
        )
        actor.logger = _SILENT
    return broker


def _runner(task: Task[..., Any], result_max_bytes: int) -> Callable[..., None]:
    """Return the function that a slot calls: arguments in, result as JSON kept on the attempt."""
    convert = converter(task.function)
    encode, function = encoder(task.function), task.function
    call = in_event_loop if inspect.iscoroutinefunction(function) else _in_slot

    def run(*args: Any, **kwargs: Any) -> None:
        attempt = attempt_of_thread.get()
        try:
            args, kwargs = convert(args, kwargs)  # type: ignore[assignment]  # sequences of any kind
        except TypeError as error:
            raise InvalidArguments(f"{task.name}: {error}") from None
        try:
            result = call(attempt, function, *args, **kwargs)
        finally:
            try:
                attempt.leave()
            except JobInterrupt:  # it came as `leave` was called, before that could catch it
                attempt.leave()
        attempt.result = _encoded(encode, result, result_max_bytes)

    run.__module__, run.__name__ = function.__module__, function.__name__
    return run


def _in_slot(
    attempt: RunningAttempt, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Run a plain function in the slot's thread; an interrupt is raised there."""
    attempt.enter()
    return function(*args, **kwargs)


def _encoded(encode: Callable[[Any], bytes], result: object, limit_bytes: int) -> str:
    try:
        encoded = encode(result)
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultNotJson(f"the result has no JSON form: {error}") from None
    if len(encoded) > limit_bytes:
        raise ResultTooLarge(
            f"the result takes {len(encoded)} bytes, more than the {limit_bytes} of RESULT_MAX_BYTES"
        )
    try:
        check_json_depth(encoded)
    except InvalidSubmission as error:
        raise ResultNotJson(f"the result cannot be read by all: {error}") from None
    return encoded.decode()
