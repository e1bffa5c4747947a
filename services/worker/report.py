"""What a child says of itself: to the store, to its supervisor, and to Prometheus."""

import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.worker.modules import task_facts
from services.worker.parts import Parts
from taskyard import catalogue
from taskyard.client import defaults
from taskyard.config import Settings
from taskyard.policy.limits import limits
from taskyard.telemetry.metrics import CHILD_MEMORY, SLOTS, SLOTS_BUSY

#: How often the catalogue is declared again: the store may have lost it, and what no worker declares any
#: more, as after a deploy was taken back, gives way to what others declare. Seconds.
DECLARE_S = 5.0


class Report:
    """Gathers what a child says of itself.

    Args:
        settings: The worker's settings.
        index: Which of the worker's children it is.
        parts: Its parts.
        is_stopping: Whether it ends.
    """

    def __init__(
        self, settings: Settings, index: int, parts: Parts, is_stopping: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._is_stopping = is_stopping
        self._memory = CHILD_MEMORY.labels(str(index))
        self._started_at = time.time()
        self._is_declared = False
        self._suspects_due = 0
        self.rss_mib = 0.0
        SLOTS.set(settings.worker_threads)

    def declare(self) -> None:
        """Declare the tasks of this child, and their limits, to the store."""
        parts = self._parts
        documents = [
            catalogue.describe(task, defaults(task.options, self._settings))
            for task in parts.tasks.values()
        ]
        its_limits = {
            name: limits(task.options.concurrency, task.options.rate)
            for name, task in parts.tasks.items()
        }
        parts.store.declare(documents, parts.queues, its_limits, lapse_s=3 * DECLARE_S)
        self._is_declared = True

    def measure(self) -> None:
        """Measure how busy and how large the child is."""
        SLOTS_BUSY.set(self._parts.registry.busy)
        self.rss_mib = _rss_mib()
        self._memory.set(self.rss_mib * 2**20)

    def look_for_suspects(self) -> None:
        """See whether the supervisor has to start a lone child."""
        self._suspects_due = self._parts.store.suspects(self._parts.queues)

    def tasks(self) -> dict[str, Any]:
        """Return the queues and the tasks of the child, for a log."""
        return task_facts(self._parts.tasks, self._parts.queues)

    def info(self) -> dict[str, Any]:
        """Return what a heartbeat says of the child, as `GET /v1/workers` shows it."""
        parts = self._parts
        is_lone = parts.lone is not None
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "state": "stopping" if self._is_stopping() else "running",
            "queues": [] if is_lone else parts.queues,
            "is_lone": is_lone,
            "tasks": sorted(parts.tasks),
            "slots": self._settings.worker_threads,
            "busy": parts.registry.busy,
            "jobs_done": parts.settler.jobs_done,
            "rss_mib": round(self.rss_mib, 1),
            "is_full": parts.room is not None and parts.room.is_full,
            "prefetched": parts.waiting_by_queue(),
            "started_at": round(self._started_at * 1000),
        }

    def beat(self) -> dict[str, Any]:
        """Return what the supervisor hears of the child a few times a second."""
        parts = self._parts
        problems = parts.source.problems()
        if not self._is_declared:
            problems.append("the store does not answer yet")
        problems += parts.executor.isolation.problems() + parts.dead_letters.problems()
        return {
            "problems": problems,
            "peak_mib": _peak_mib(),
            "suspects": self._suspects_due,
            "silent": parts.settler.log.silent(),
        }


def _rss_mib() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _peak_mib() -> int:
    """Return the most resident memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
