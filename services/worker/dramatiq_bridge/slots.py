"""The slots: Dramatiq's worker threads, fed by the engine instead of by Dramatiq's own consumers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dramatiq

from services.worker.attempts.running import RunningAttempt
from services.worker.dramatiq_bridge.actors import make_broker
from services.worker.dramatiq_bridge.middleware import ReportProgress
from services.worker.dramatiq_bridge.work_queue import WorkQueue
from taskyard.task import Task

# Dramatiq logs each failed attempt with its arguments; the engine logs it without.
logging.getLogger("dramatiq").setLevel(logging.CRITICAL)

#: How often an idle slot looks whether it should stop. Milliseconds.
IDLE_MS = 1_000
#: Dramatiq starts no consumer of its own for a queue that is not among these.
_NO_QUEUES = {"(none: the engine consumes)"}


class Slots:
    """Runs attempts in threads.

    Args:
        tasks: The tasks by name.
        threads: Number of slots.
        report: Called with an attempt and its progress.
        result_max_bytes: Largest result as JSON.
        finished: Called, by the slot, with each attempt whose task has ended.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task[..., Any]],
        *,
        threads: int,
        report: ReportProgress,
        result_max_bytes: int,
        finished: Callable[[RunningAttempt], None],
    ) -> None:
        self._broker = make_broker(tasks, report=report, result_max_bytes=result_max_bytes)
        self._worker = dramatiq.Worker(
            self._broker, queues=_NO_QUEUES, worker_threads=threads, worker_timeout=IDLE_MS
        )
        self._work_queue = WorkQueue()
        self._worker.work_queue = self._work_queue  # type: ignore[assignment]
        queues = {task.options.queue for task in tasks.values()}
        self._worker.consumers = _Consumers(_Finished(finished), queues)  # type: ignore[assignment]

    def start(self) -> None:
        """Start the threads."""
        self._broker.emit_after("process_boot")
        self._worker.start()

    def stop(self) -> None:
        """Return when the threads have ended; a child of a worker does not wait for them, and exits."""
        for thread in self._worker.workers:
            thread.stop()
        for thread in self._worker.workers:
            thread.join()
        self._broker.emit_after("worker_shutdown", self._worker)

    def run(self, attempts: Sequence[RunningAttempt]) -> None:
        """Let free slots run `attempts`."""
        self._work_queue.put(attempts)

    def spread(self) -> None:
        """Give each attempt that still waits a thread of its own."""
        self._work_queue.spread()

    @property
    def has_waiting(self) -> bool:
        """Whether attempts wait for a thread."""
        return len(self._work_queue) > 0


class _Finished:
    """Stands where Dramatiq has a consumer thread: takes what a slot has done."""

    def __init__(self, finished: Callable[[RunningAttempt], None]) -> None:
        self._finished = finished

    def post_process_message(self, message: Any) -> None:
        self._finished(message)


class _Consumers(dict[str, _Finished]):
    """The same consumer for every queue: a job may come from one that none of the tasks names."""

    def __init__(self, finished: _Finished, queues: set[str]) -> None:
        super().__init__(dict.fromkeys(queues, finished))
        self._one = finished

    def __missing__(self, queue: str) -> _Finished:
        return self._one
