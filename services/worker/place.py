"""A place for a child in the worker: which child is in it now, and what that has told of itself."""

import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

#: Pause before a child that ended badly is started again, in seconds; doubled up to the second number.
RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
#: A child that lived for so long had not failed at its start. Seconds.
HEALTHY_S = 30.0


class Place:
    """One of the worker's places for a child, and the child that is in it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.owner = ""
        self.process: ForkProcess | None = None
        self.pipe: Connection | None = None
        self.problems: list[str] = ["not started yet"]
        self.leaving = ""
        self.peak_mib = 0
        self.beat_at = 0.0
        self.has_beaten = False
        self.started_at = 0.0
        self.start_at = 0.0
        self.failures = 0

    @property
    def name(self) -> str:
        """What the place is called in messages."""
        return f"child {self.index}"

    def restart_pause_s(self, code: int | None) -> float:
        """Return how long to wait for the next child, after this one ended with `code`. Seconds."""
        lived_s = time.monotonic() - self.started_at
        if code == 0 or lived_s > HEALTHY_S:
            self.failures = 0
            return 0.0
        self.failures += 1
        return min(RESTART_MAX_S, RESTART_MIN_S * 2.0 ** (self.failures - 1))

    def receive(self) -> None:
        """Take a beat from the pipe, or find that its child has closed it."""
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
        self.peak_mib = beat.get("peak_mib", self.peak_mib)
