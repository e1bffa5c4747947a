"""The tasks of the load: each tells of the beginning and of the end of each of its executions."""

import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from taskyard import current_job, task
from tests.events import tell

#: The queues of all tasks; of this session's own, the same in the workers that it starts.
QUEUE = os.environ.setdefault("TASKYARD_NEMESIS_QUEUE", f"nemesis-{uuid.uuid4().hex[:8]}")
LIMITED_QUEUE = f"{QUEUE}-limited"

PREFIX = "nemesis."
#: How many jobs of `limited` may run at a time, and how long a job of `unique` keeps others out.
CONCURRENCY = 3
UNIQUE_FOR_S = 120.0

PAUSE_S = 0.02


@contextmanager
def _told(task_name: str, number: int) -> Iterator[None]:
    """Tell when the block begins, and how it ends; if its process dies, nobody tells the end."""
    tell(f"begins:{task_name}:{number}")
    try:
        yield
    except BaseException:
        tell(f"raises:{task_name}:{number}")
        raise
    tell(f"returns:{task_name}:{number}")


def _sleep(seconds: float) -> None:
    """Sleep in small pieces, so that the job can be interrupted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(PAUSE_S)


@task(name=f"{PREFIX}quick", queue=QUEUE)
def quick(number: int) -> int:
    with _told("quick", number):
        return number


@task(name=f"{PREFIX}nap", queue=QUEUE)
def nap(number: int, seconds: float) -> int:
    with _told("nap", number):
        _sleep(seconds)
        return number


@task(name=f"{PREFIX}async_nap", queue=QUEUE)
async def async_nap(number: int, seconds: float) -> int:
    with _told("async_nap", number):
        await asyncio.sleep(seconds)
        return number


@task(name=f"{PREFIX}flaky", queue=QUEUE, retry_min_s=0.2, retry_max_s=1.0, max_retries=5)
def flaky(number: int, failures: int) -> int:
    """Fail so many times, then return."""
    with _told("flaky", number):
        if current_job().attempt <= failures:
            raise ConnectionError("on purpose")
        return number


@task(name=f"{PREFIX}broken", queue=QUEUE, retry_min_s=0.1, retry_max_s=0.5, max_retries=1)
def broken(number: int) -> None:
    """Fail each time."""
    with _told("broken", number):
        raise ValueError("always")


@task(name=f"{PREFIX}limited", queue=LIMITED_QUEUE, concurrency=CONCURRENCY)
def limited(number: int, seconds: float) -> int:
    """Run beside a few others at most."""
    with _told("limited", number):
        _sleep(seconds)
        return number


@task(name=f"{PREFIX}unique", queue=LIMITED_QUEUE, unique_for=UNIQUE_FOR_S, unique_key="key")
def unique(number: int, key: str) -> int:
    """Run beside no other of the same key."""
    with _told("unique", number):
        _sleep(0.4)
        return number
