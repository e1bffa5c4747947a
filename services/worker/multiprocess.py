"""Metrics of a worker with children: each child has its files, which the supervisor adds up.

It has to be prepared before any metric is made. Files are kept by the number of the child, so counters go on
when a process is replaced, and no file is left behind.
"""

import os
import shutil
import tempfile

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_process = "supervisor"


def prepare() -> str:
    """Make metrics count across processes; return the folder of their files, which `clean` removes."""
    shared_memory = "/dev/shm"
    folder = tempfile.mkdtemp(
        prefix="taskyard-metrics-", dir=shared_memory if os.access(shared_memory, os.W_OK) else None
    )
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]  # as they left it
        process_identifier=lambda: _process
    )
    return folder


def enter_child(index: int) -> None:
    """Let this process, a child, write to the files of its number."""
    global _process
    _process = f"child{index}"


def ended(index: int) -> None:
    """Drop what gauges say of a child that has ended; its counters stay."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(f"child{index}")  # type: ignore[no-untyped-call]  # as its authors left it


def registry() -> CollectorRegistry:
    """Return a registry that adds up all children."""
    made = CollectorRegistry()
    MultiProcessCollector(made)  # type: ignore[no-untyped-call]  # as its authors left it
    return made


def clean(folder: str) -> None:
    """Remove the files."""
    shutil.rmtree(folder, ignore_errors=True)
