"""What the supervisor has of one of its children: the process, the pipe from it, and its last beat."""

import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

#: Pause before a child that ended badly is started again, in seconds; doubled up to the second number.
RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
#: A child that lived for so long had not failed at its start. Seconds.
HEALTHY_S = 30.0


class ChildHandle:
    """Stands for one child of the worker; keeps its number when its process is replaced.

    Args:
        index: Its number.
        is_lone: Its process tries suspects alone; there is no process while there are no suspects.
    """

    def __init__(self, index: int, *, is_lone: bool = False) -> None:
        self.index = index
        self.is_lone = is_lone
        self.owner = ""
        self.process: ForkProcess | None = None
        self.pipe: Connection | None = None
        self.problems: list[str] = ["not started yet"]
        self.leaving = ""
        #: Why the child could not start at all, such as a task module that cannot be imported.
        self.fault = ""
        #: The queues that it reads, and the tasks that it knows.
        self.task_facts: dict[str, Any] = {}
        #: The child has said at last that it ends in good order.
        self.has_left = False
        #: The supervisor itself has ended it.
        self.is_killed = False
        #: Suspects that it saw waiting to be tried alone.
        self.suspects = 0
        self.peak_mib = 0
        #: Of what it leaves out lines in its log.
        self.silent: list[str] = []
        self.beat_at = 0.0
        self.has_beaten = False
        self.started_at = 0.0
        self.start_at = 0.0
        self.failures = 0

    @property
    def name(self) -> str:
        """What the child is called in messages."""
        return f"lone child {self.index}" if self.is_lone else f"child {self.index}"

    def started(self, owner: str, process: ForkProcess, pipe: Connection) -> None:
        """Note a new process, which has sent nothing yet."""
        self.owner, self.process, self.pipe = owner, process, pipe
        self.problems, self.leaving, self.fault = ["starting"], "", ""
        self.has_beaten = self.has_left = self.is_killed = False
        self.suspects = self.peak_mib = 0
        self.silent = []
        self.started_at = self.beat_at = time.monotonic()

    def not_started(self, why: str) -> None:
        """Note that no process could be started; it is tried again after a pause."""
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None
        self.problems = [f"not started: {why}"]
        self.started_at = time.monotonic()
        self.start_at = self.started_at + self.restart_pause_s(None, had_jobs=False)

    def kill(self) -> None:
        """Kill the process at once."""
        if self.process is not None:
            self.is_killed = True
            self.process.kill()

    def restart_pause_s(self, code: int | None, *, had_jobs: bool) -> float:
        """Return how long to wait for the next child. Seconds.

        Args:
            code: What this one ended with.
            had_jobs: It held jobs when it ended: these are tried apart from the others, which need not wait.
        """
        lived_s = time.monotonic() - self.started_at
        if (code == 0 and self.has_left) or lived_s > HEALTHY_S:
            self.failures = 0
            return 0.0
        if had_jobs:
            self.failures = 0
            return RESTART_MIN_S
        self.failures += 1
        return min(RESTART_MAX_S, RESTART_MIN_S * 2.0 ** (self.failures - 1))

    def receive(self) -> None:
        """Read a beat from the pipe, or find that the child has closed it."""
        assert self.pipe is not None
        try:
            beat = self.pipe.recv()
        except (EOFError, OSError):
            self.pipe.close()
            self.pipe = None
            return
        self.beat_at = time.monotonic()
        self.has_beaten = True
        self.problems = beat["problems"]
        self.leaving = beat.get("leaving", self.leaving)
        self.fault = beat.get("fault", "")
        self.has_left = beat.get("has_left", False)
        self.suspects = beat.get("suspects", self.suspects)
        self.peak_mib = beat.get("peak_mib", self.peak_mib)
        self.silent = beat.get("silent", [])
        self.task_facts = beat.get("task_facts", self.task_facts)
