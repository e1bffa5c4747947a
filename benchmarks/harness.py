"""What the benchmarks share: private servers, CPU time of processes, medians, a table."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from taskyard.local_servers import Servers

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def servers() -> Iterator[Servers]:
    """Start RabbitMQ and Redis with data in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="taskyard-bench-") as folder:
        private = Servers(Path(folder))
        try:
            private.start()
            yield private
        finally:
            private.kill()


def environment(private: Servers, **more: str) -> dict[str, str]:
    """Return the environment of a process that works on these servers."""
    return {
        **os.environ,
        **private.env,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'shared'}",
        "LOG_LEVEL": "warning",
        "METRICS_PORT": "0",
        **more,
    }


@contextmanager
def process(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[psutil.Process]:
    """Run a command; end it with SIGTERM, as an operator would."""
    with subprocess.Popen(argv, env=dict(env), cwd=ROOT, stdout=subprocess.DEVNULL) as popen:
        try:
            yield psutil.Process(popen.pid)
        finally:
            popen.terminate()


def python(*args: str) -> list[str]:
    """Return the command that runs this Python."""
    return [sys.executable, *args]


def cpu_s(tree: psutil.Process) -> float:
    """Return the CPU time that a process and its living children have used, in seconds."""
    total = 0.0
    for one in [tree, *tree.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total


def wait_for(condition: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.005) -> None:
    """Return when `condition` holds.

    Raises:
        TimeoutError: If it does not in `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {timeout_s:g} s")
        time.sleep(pause_s)


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each column."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def show(title: str, table: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table: a line each contender."""
    print(f"\n{title}")
    columns = list(next(iter(table.values())))
    width = max(map(len, table)) + 2
    print(" " * width + "".join(f"{column:>18}" for column in columns))
    for name, row in table.items():
        print(f"{name:<{width}}" + "".join(f"{row[column]:>18,.1f}" for column in columns))
