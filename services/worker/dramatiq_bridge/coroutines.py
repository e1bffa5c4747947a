"""How an `async` task runs: in Dramatiq's event loop, while its slot waits."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from dramatiq.asyncio import get_event_loop_thread

from services.worker.attempts.running import RunningAttempt


def in_event_loop(
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
