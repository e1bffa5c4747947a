"""Small tasks that show what a job can do: succeed, take time, fail, retry, report progress."""

import asyncio
import time

from taskyard import current_job, task


@task
def background_task(a: int | float, b: int | float) -> int | float:
    """Add two numbers."""
    return a + b


@task(timeout_s=3600)
def nap(seconds: float = 1.0) -> str:
    """Sleep for so many seconds."""
    time.sleep(seconds)
    return f"slept {seconds:g} s"


@task
async def async_nap(seconds: float = 1.0) -> str:
    """Sleep for so many seconds without holding the interpreter."""
    await asyncio.sleep(seconds)
    return f"slept {seconds:g} s"


@task(max_retries=5, retry_min_s=0.1, retry_max_s=2)
def flaky(failures: int = 2) -> str:
    """Fail so many times, then succeed: shows retries."""
    attempt = current_job().attempt
    if attempt <= failures:
        raise ConnectionError(f"attempt {attempt} fails on purpose")
    return f"succeeded at attempt {attempt}"


@task(max_retries=1, retry_min_s=0.1, retry_max_s=0.5)
def fail(message: str = "this task always fails") -> None:
    """Fail each time: ends as a dead letter."""
    raise RuntimeError(message)


@task
def progress(steps: int = 10, seconds: float = 0.2) -> int:
    """Take so many steps of so many seconds, and report each."""
    job = current_job()
    for step in range(1, steps + 1):
        time.sleep(seconds)
        job.progress(step, steps, f"step {step} of {steps}")
    return steps
