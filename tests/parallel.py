"""How tests share the machine when many run side by side: how many, in which order, and what they leave."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from taskyard.local_servers.leftovers import environments
from taskyard.local_servers.waiting import wait_for

#: Tests wait for servers more than they compute. More of these than two a core gain nothing.
WORKERS_A_CORE = 2
#: Each has a RabbitMQ, a Redis and some services: about 700 MB.
MOST_WORKERS = 8

TESTS = Path(__file__).parent
#: Folders of long files, which begin first, so that the last ones to end are short.
LONG_FIRST = ("faults", "e2e", "integration")

#: Set for every process that comes of this run, however it detaches itself.
RUN_MARK = "TASKYARD_TEST_RUN"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many processes run tests side by side, if no number was asked for."""
    return min(WORKERS_A_CORE * len(os.sched_getaffinity(0)), MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the order within a folder stays."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)


def pytest_configure() -> None:
    """Mark this run, unless it is a part of one."""
    os.environ.setdefault(RUN_MARK, str(os.getpid()))


def pytest_unconfigure() -> None:
    """End what a part of this run that was killed has left behind."""
    if os.environ[RUN_MARK] != str(os.getpid()):
        return
    for pid in _left_behind():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not _left_behind(), timeout_s=10)


def _left_behind() -> list[int]:
    mark = f"{RUN_MARK}={os.getpid()}".encode()
    return [pid for pid, environment in environments() if mark in environment.split(b"\0")]
