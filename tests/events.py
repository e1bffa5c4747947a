"""What tasks tell of themselves: a file of lines that the system under test does not know."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from taskyard import current_job

#: The variable that names the folder of the file.
FOLDER = "TASKYARD_TEST_FOLDER"


class Event(NamedTuple):
    """One line: when, what, and in which attempt of which job, by which process."""

    time: float
    what: str
    job_id: str
    attempt: int
    pid: int


def folder() -> Path:
    """Return where the file is, in a task's process."""
    return Path(os.environ[FOLDER])


def tell(what: str) -> None:
    """Add a line; short ones are written whole, whoever writes at the same time.

    Args:
        what: A word without blanks.
    """
    job = current_job()
    line = f"{time.time():.6f} {what} {job.id} {job.attempt} {os.getpid()}\n"
    descriptor = os.open(folder() / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_events(folder: Path) -> list[Event]:
    """Return all that was told so far, in the order of its happening."""
    path = folder / "events"
    lines = path.read_text().splitlines() if path.exists() else []
    return [
        Event(float(at), what, job_id, int(attempt), int(pid))
        for at, what, job_id, attempt, pid in map(str.split, lines)
    ]
