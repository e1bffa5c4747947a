"""The jobs of the benchmarks: one that does nothing, and one that writes down when it ran."""

import os
import time
from functools import cache
from pathlib import Path

from taskyard import current_job, task

QUEUE = "bench"


@task(queue=QUEUE)
def noop() -> None:
    """Do nothing."""


@task(queue=QUEUE, concurrency=1_000)
def limited_noop() -> None:
    """Do nothing, with a limit that is looked at each time and never reached."""


@task(queue=QUEUE)
def stamp(name: str) -> None:
    """Write the time into a file of the benchmark's folder."""
    write_stamp(name)


def write_stamp(name: str) -> None:
    """Write the time, whole or not at all."""
    folder = Path(os.environ["BENCH_FOLDER"])
    part = folder / f"{name}.part"
    part.write_text(repr(time.time()))
    part.rename(folder / name)


#: Length of a line of `note_start`: a time, and an id that is a UUID.
START_BYTES = 17 + 1 + 36 + 1


@task(queue=QUEUE)
def note_start() -> None:
    """Write down when this job starts, and its id, into a file of its process."""
    at = time.time()
    line = f"{at:.6f} {current_job().id}\n"
    os.write(_starts(os.getpid()), line.encode())


@cache
def _starts(pid: int) -> int:
    path = Path(os.environ["BENCH_FOLDER"]) / f"starts-{pid}"
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
