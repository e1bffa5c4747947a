"""The tasks of the worker's tests: each does one thing that a task may do to its worker.

What they tell of themselves is a line each in the file `events` of TASKYARD_TEST_FOLDER, and what they wait
for is a file there; so the tests see the order of things without asking the system under test.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from opentelemetry import trace
from pydantic import BaseModel, SecretStr

from taskyard import Secret, current_job, task
from taskyard.errors import JobInterrupt, Retry
from taskyard.task import Task
from tests.events import folder, tell

#: The queue of all tasks; of this session's own, the same in the workers that it starts.
QUEUE = os.environ.setdefault("TASKYARD_TEST_QUEUE", f"test-tasks-{uuid.uuid4().hex[:12]}")

PAUSE_S = 0.002


def own_task(**options: Any) -> Callable[[Callable[..., Any]], Task[..., Any]]:
    """Return `@task` for this module: names that meet no other module's in the tests' own process."""

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        return task(name=f"test.{function.__name__}", queue=QUEUE, **options)(function)

    return decorate


def _is_open(gate: str) -> bool:
    return (folder() / gate).exists()


# What dies, and comes back


@own_task()
def fail_until(gate: str) -> None:
    """Fail while the gate is closed."""
    if not _is_open(gate):
        raise ValueError(f"the gate {gate!r} is closed")
    tell("done")


# What tells of itself: in the log, and in spans of its own


def _chat() -> None:
    logging.getLogger("someones.library").warning("a plain line")
    structlog.get_logger("someones").info("a line of structlog")
    current_job().logger.info("a line of the job")


@own_task()
def chat() -> None:
    _chat()


@own_task()
async def chat_later() -> None:
    await asyncio.sleep(0)
    _chat()
    await asyncio.to_thread(_chat)


def _work() -> str:
    with trace.get_tracer("user").start_as_current_span("own work"):
        job = current_job()
    if job.attempt == 1:
        raise ConnectionError("secret-word: the first attempt fails on purpose")
    return job.trace_id


@own_task()
def traced(secret: str = "") -> str:
    return _work()


@own_task()
async def traced_later(secret: str = "") -> str:
    await asyncio.sleep(0)
    return _work()


@own_task()
def submits_another() -> str:
    return add.delay(1, 2).id


# What returns


@own_task()
def add(a: int, b: int = 0) -> int:
    return a + b


@own_task()
async def add_later(a: int, b: int = 0) -> int:
    await asyncio.sleep(0.01)
    return a + b


@own_task()
def echo(value: Any = None) -> Any:
    return value


@dataclass
class Point:
    x: float
    y: float


@own_task()
def norm(point: Point) -> float:
    return (point.x**2 + point.y**2) ** 0.5


class Order(BaseModel):
    """An order, as a user's task would take it."""

    number: int
    total: Decimal
    at: datetime | None = None


@own_task()
def with_fee(order: Order, fees: list[Decimal], *, at: datetime | None = None) -> Order:
    """Return a dearer order."""
    return order.model_copy(update={"total": order.total + sum(fees), "at": at})


@own_task()
async def with_fee_later(
    order: Order, fees: list[Decimal], *, at: datetime | None = None
) -> Order | None:
    """Return the same."""
    return with_fee(order, fees, at=at)


@own_task()
def note(word: str = "ran") -> None:
    tell(word)


@own_task()
def busy(seconds: float) -> None:
    """Compute for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@own_task()
def who() -> dict[str, Any]:
    job = current_job()
    job.logger.info("asked who it is")
    return {"id": job.id, "task": job.task, "attempt": job.attempt, "pid": os.getpid()}


@own_task()
async def who_later() -> dict[str, Any]:
    await asyncio.sleep(0)
    return who()


@own_task()
def large(size: int) -> str:
    return "x" * size


@own_task()
def not_json() -> object:
    return object()


@own_task()
def huge_number() -> int:
    return 2**70


# What takes its time


@own_task(timeout_s=60)
def wait_at(gate: str) -> str:
    """Wait until the gate is opened, in Python code that an interrupt reaches."""
    try:
        tell("waits")
        while not _is_open(gate):
            time.sleep(PAUSE_S)
    except JobInterrupt as interrupt:
        tell(f"interrupted-by-{type(interrupt).__name__}")
        raise
    tell("passed")
    return gate


@own_task(timeout_s=60)
def fail_when_open(gate: str) -> None:
    """Wait until the gate is opened, and fail."""
    wait_at.function(gate)
    raise ValueError("the gate was opened")


@own_task(timeout_s=60)
async def wait_at_later(gate: str) -> str:
    """Wait until the gate is opened, as a coroutine."""
    try:
        tell("waits")
        while not _is_open(gate):
            await asyncio.sleep(PAUSE_S)
    except asyncio.CancelledError:
        tell("interrupted-by-CancelledError")
        raise
    tell("passed")
    return gate


@own_task(timeout_s=60)
def sleep(seconds: float) -> None:
    """Sleep in one call, which no interrupt reaches."""
    tell("sleeps")
    time.sleep(seconds)
    tell("slept")


@own_task(timeout_s=60)
def hold_interpreter(seconds: float) -> None:
    """Sleep without letting any other thread of the process run."""
    tell("holds")
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    tell("held")


class _Lingering:
    """Its destructor ends only by an exception, which Python can give to nobody."""

    def __del__(self) -> None:
        try:
            while True:
                time.sleep(PAUSE_S)
        finally:
            tell("swallowed")


@own_task(timeout_s=60)
def swallow_then_wait_at(gate: str) -> str:
    """Be in a destructor when an interrupt comes, so that it is lost, and wait at a gate then."""
    _Lingering()
    return wait_at.function(gate)


@own_task(timeout_s=60)
def stubborn(gate: str) -> str:
    """Wait until the gate is opened, whatever is raised meanwhile."""
    tell("waits")
    while not _is_open(gate):
        try:
            time.sleep(PAUSE_S)
        except JobInterrupt as interrupt:
            tell(f"ignores-{type(interrupt).__name__}")
    return gate


@own_task(timeout_s=60)
async def stubborn_later(gate: str) -> str:
    tell("waits")
    while not _is_open(gate):
        try:
            await asyncio.sleep(PAUSE_S)
        except asyncio.CancelledError:
            tell("ignores-CancelledError")
    return gate


@own_task(timeout_s=60)
def clean_up(gate: str) -> str:
    """Return something when interrupted: the task's own decision."""
    tell("waits")
    try:
        while not _is_open(gate):
            time.sleep(PAUSE_S)
    except JobInterrupt:
        return "cleaned up"
    return gate


@own_task()
def steps(count: int, gate: str) -> int:
    """Report progress, and wait in the middle."""
    job = current_job()
    for step in range(1, count + 1):
        job.progress(step, count, f"step {step}")
    while not _is_open(gate):
        time.sleep(PAUSE_S)
    job.progress(count + 1, count)
    return count


@own_task()
def strange_progress(gate: str) -> str:
    """Report a text that is no Unicode."""
    current_job().progress(1, 2, "\udcff")
    while not _is_open(gate):
        time.sleep(PAUSE_S)
    return gate


# What fails


@own_task()
def flaky(failures: int) -> int:
    """Fail so many times, then return the number of the attempt."""
    tell("tries")
    attempt = current_job().attempt
    if attempt <= failures:
        raise ConnectionError(f"attempt {attempt} fails on purpose")
    return attempt


@own_task()
async def flaky_later(failures: int) -> int:
    await asyncio.sleep(0)
    return flaky(failures)


@own_task(max_retries=0)
def fail_at(gate: str) -> None:
    """Wait until the gate is opened, then fail."""
    tell("waits")
    while not _is_open(gate):
        time.sleep(PAUSE_S)
    raise LookupError("it was empty")


# What is limited


@own_task(concurrency=2)
def in_pairs(seconds: float = 0.02) -> None:
    tell("begins")
    time.sleep(seconds)
    tell("ends")


@own_task(concurrency=1, key="account")
def one_an_account(account: str, gate: str | None = None) -> str:
    tell("begins")
    while gate is not None and not _is_open(gate):
        time.sleep(PAUSE_S)
    tell("ends")
    return account


@own_task(rate="5/2s")
def five_in_two_seconds() -> None:
    tell("begins")


@own_task(unique_for=60, unique_key="account")
def unique_account(account: str, amount: int = 0) -> int:
    return amount


@own_task(unique_for=60, unique_key="account", unique_policy="reject")
def rejecting_account(account: str, amount: int = 0) -> int:
    return amount


@own_task(unique_for=3600, unique_key="account", unique_policy="replace")
def replacing_account(account: str, amount: int = 0) -> int:
    tell("ran")
    return amount


class Hopeless(Exception):
    """Final for `hopeless`."""


@own_task(final_errors=[Hopeless])
def hopeless() -> None:
    tell("tries")
    raise Hopeless("no use")


@own_task(max_retries=0)
def fail_as(name: str) -> None:
    """Raise an error of a type that nobody has seen before."""
    raise type(name, (Exception,), {"reason": name, "code": name})(name)


@own_task(max_retries=3)
def again_in(delay_s: float) -> str:
    """Ask for one more try after so long, and take long enough to show in a timeline."""
    tell("tries")
    time.sleep(PAUSE_S)
    if current_job().attempt == 1:
        raise Retry("not yet", delay_s=delay_s)
    return "done"


class Mute(Exception):
    """Cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@own_task(max_retries=0)
def fail_strangely(kind: str) -> None:  # noqa: C901 - a list of cases
    """Raise what is hard to tell of."""
    if kind == "mute":
        raise Mute
    if kind == "surrogate":
        raise ValueError("a file name: \udcff")
    if kind == "long":
        raise ValueError("x" * 1_000_000)
    if kind == "deep":
        fail_strangely.function(kind)
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "stop":
        raise StopIteration
    if kind == "generator":
        raise GeneratorExit
    if kind == "retry-never":
        raise Retry(delay_s=float("inf"))
    if kind == "retry-nan":
        raise Retry(delay_s=float("nan"))
    raise LookupError(kind)


@own_task(max_retries=0)
async def fail_strangely_later(kind: str) -> None:
    await asyncio.sleep(0)
    if kind == "cancelled":
        raise asyncio.CancelledError
    fail_strangely(kind)


# What harms its process


@own_task()
def crash(how: str = "kill", times: int = 1_000_000) -> str:
    """End the process, at the first so many attempts."""
    tell("crashes")
    if current_job().attempt > times:
        return "survived"
    if how.startswith("exit"):
        os._exit(int(how[4:] or 7))
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


@own_task()
def allocate(mebibytes: int) -> int:
    """Take memory that the process keeps."""
    _kept.append(bytearray(b"x" * (mebibytes << 20)))
    return os.getpid()


_kept: list[bytearray] = []


# What has secrets


@own_task(max_retries=1, concurrency=1, key="card")
def charge(card: Secret[str], amount: int = 1, pin: SecretStr | None = None) -> int:
    """Fail with the secret in the error, unless there is nothing to pay."""
    if amount:
        raise ValueError(f"{card} has no {amount}")
    return len(card) + len(pin.get_secret_value() if pin else "")


@own_task(concurrency=1, key="card")
def one_a_card(card: Secret[str], gate: str) -> None:
    tell("begins")
    while not _is_open(gate):
        time.sleep(PAUSE_S)


@own_task(max_retries=0)
def fail_with(value: str) -> None:
    """Fail with the argument in the error."""
    raise ValueError(f"bad value: {value}")
