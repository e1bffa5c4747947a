"""taskyard's tasks as Dramatiq's actors: the broker that holds them, and what runs in a slot."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware

from services.worker.attempts.outcome import InvalidArguments, ResultNotJson, ResultTooLarge
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.traces import TracedAttempt
from taskyard import context
from taskyard.arguments.results import encoder
from taskyard.arguments.signature import converter
from taskyard.errors import InvalidSubmission, JobInterrupt
from taskyard.job import Progress
from taskyard.task import Task
from taskyard.telemetry import tracing
from taskyard.validation.nesting import check_json_depth

ReportProgress = Callable[[RunningAttempt, Progress], None]

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


class CurrentAttempt(Middleware):
    """Ties the attempt to the slot's thread while Dramatiq calls its actor, and keeps how it ended."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report

    def before_process_message(self, broker: dramatiq.Broker, message: Any) -> None:
        """Make the job the current one."""
        attempt: RunningAttempt = message
        context.set_current_job(attempt.current_job(lambda p: self._report(attempt, p)))
        _attempt_of_thread.set(attempt)

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


_attempt_of_thread: ContextVar[RunningAttempt] = ContextVar("attempt")


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
    call = _in_event_loop if inspect.iscoroutinefunction(function) else _in_slot

    def run(*args: Any, **kwargs: Any) -> None:
        attempt = _attempt_of_thread.get()
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


def _in_event_loop(
    attempt: RunningAttempt,
    function: Callable[..., Coroutine[Any, Any, Any]],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Run a coroutine in the event loop's thread and wait for its end; an interrupt cancels it there.

    Nothing is raised in the slot's thread, where it might be lost. Unlike Dramatiq's own wrapper it goes on
    waiting for a coroutine that does not end: as with plain tasks, the slot is not free before, and the hard
    limit replaces the process.
    """
    thread = get_event_loop_thread()
    assert thread is not None
    loop = thread.loop
    run = _Run(partial(function, *args, **kwargs))
    attempt.enter(lambda: loop.call_soon_threadsafe(run.cancel))
    loop.call_soon_threadsafe(run.start)
    run.ended.wait()
    if run.error is None:
        return run.result
    if attempt.interrupted is not None and isinstance(run.error, asyncio.CancelledError):
        raise attempt.interrupted from None
    raise run.error


class _Run:
    """One run of a coroutine in the event loop, and what came of it; its methods are called there."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._function = function
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self.ended = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._done)
        if self._is_cancelled:
            self._task.cancel()

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self.result = await self._function()
        except BaseException as error:  # noqa: BLE001 - `SystemExit` would end the loop of all async tasks
            self.error = error

    def _done(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():  # before its first step
            self.error = asyncio.CancelledError()
        self.ended.set()


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
