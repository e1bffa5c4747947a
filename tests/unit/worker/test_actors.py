"""What runs in a slot: arguments in, result out, and whatever a task raises, the slot goes on."""

import asyncio
import datetime
import enum
import gc
import json
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest

from services.worker.attempts.outcome import InvalidArguments, ResultNotJson, ResultTooLarge
from services.worker.dramatiq_bridge.slots import Slots
from taskyard import current_job
from taskyard.errors import JobCancelled, JobLost, JobTimeout, WorkerStopping
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.polling import poll
from tests.unit.worker.doubles import attempt, noticing_swallowed

FUNCTIONS: dict[str, Any] = {}


def own(function):
    """Make a function one of this file's tasks."""
    FUNCTIONS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def run():
    """A function that runs a task in one of two slots, and returns the attempt when it has ended."""
    ended: dict[str, tuple[Any, BaseException | None]] = {}
    tasks = {name: Task(each, name, TaskOptions()) for name, each in FUNCTIONS.items()}
    slots = Slots(
        tasks,
        threads=2,
        report=lambda attempt, progress: setattr(attempt, "last_progress", progress),
        result_max_bytes=1_000,
        finished=lambda each: ended.update({each.id: (each, each.error)}),
    )
    slots.start()

    def start(name, *args, **fields):
        made = attempt(name, *args, **fields)
        slots.run([made])
        return made

    def run_one(name, *args, interrupt=None, **fields):
        made = start(name, *args, **fields)
        if interrupt is not None:
            poll(lambda: made.is_over(0.02))
            made.interrupt(interrupt)
        return poll(lambda: made.raise_again() or ended.get(made.id))

    run_one.start = start  # type: ignore[attr-defined]  # the tests' other handles
    run_one.ended = ended  # type: ignore[attr-defined]  # likewise
    run_one.slots = slots  # type: ignore[attr-defined]  # likewise
    with noticing_swallowed():
        yield run_one
    # Both slots are whole after all that was done to them.
    barriers.append(threading.Barrier(2))
    first, second = start("meet"), start("meet")
    slots.spread()
    poll(lambda: first.id in ended and second.id in ended)
    assert ended[first.id][1] is None
    slots.stop()


def outcome(run, made):
    """Return an attempt and its error when it has ended."""
    return poll(lambda: run.ended.get(made.id))


def has_started(made):
    """Whether a slot has taken it."""
    return made.started is not None


def result(run, name, *args, **fields):
    made, error = run(name, *args, **fields)
    assert error is None, repr(error)
    return json.loads(made.result)


def error(run, name, *args, **fields):
    return run(name, *args, **fields)[1]


barriers: list[threading.Barrier] = []


@own
def meet() -> None:
    """End only together with another."""
    barriers[-1].wait(30)


# Arguments


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Model(pydantic.BaseModel):
    at: datetime.datetime
    tags: set[str] = set()


@own
def typed(
    day: datetime.date,
    uid: UUID,
    color: Color,
    point: Point,
    model: Model,
    price: Decimal = Decimal(1),
    kind: Literal["a", "b"] = "a",
) -> str:
    assert isinstance(day, datetime.date)
    assert isinstance(uid, UUID)
    assert color is Color.RED
    assert isinstance(point, Point)
    assert isinstance(model, Model)
    assert isinstance(price, Decimal)
    return f"{day} {color.value} {point.x + point.y} {sorted(model.tags)} {price} {kind}"


def test_arguments_are_converted_to_their_types(run):
    """From JSON, by position and by name."""
    uid = "018f3c4e-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
    model = {"at": "2026-11-24T10:00:00Z", "tags": ["b", "a"]}

    assert (
        result(
            run,
            "typed",
            "2026-11-24",
            uid,
            "red",
            {"x": 1, "y": 2},
            model,
            "2.50",
            kwargs={"kind": "b"},
        )
        == "2026-11-24 red 3 ['a', 'b'] 2.50 b"
    )


@own
def anything(first, *rest: int, flag: bool = False, **more: float) -> list[Any]:
    return [first, list(rest), flag, more]


def test_variadic_and_untyped_parameters_are_filled(run):
    """What has no hint comes as it is."""
    assert result(run, "anything", {"a": [1]}, 1, 2, kwargs={"flag": True, "x": 1.5}) == [
        {"a": [1]},
        [1, 2],
        True,
        {"x": 1.5},
    ]


@own
def small(n: Annotated[int, pydantic.Field(le=9)], word: str = "") -> int:
    return n


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ([], {}, "missing"),
        ([1, "a", 3], {}, "too many"),
        ([1], {"n": 1}, "multiple"),
        ([1], {"other": 1}, "unexpected"),
        (["one"], {}, 'small: n: "one" is not a whole number'),
        ([10], {}, "n: 10 is not a whole number of at most 9"),
        ([1, 5], {}, "small: word: 5 is not a text"),
        ([1], {"word": 5}, "small: word: 5 is not a text"),
        ([None], {}, "n: null is not a whole number"),
    ],
)
def test_arguments_that_do_not_fit_are_a_final_error(run, args, kwargs, told):
    """It says what is wrong; the task has not been called."""
    raised = error(run, "small", *args, kwargs=kwargs)

    assert isinstance(raised, InvalidArguments)
    assert told in str(raised)
    assert "small" in str(raised)


# Results


@own
def give(kind: str) -> Any:
    return {
        "nothing": None,
        "unicode": "é\u2028\U0001f600",
        "tuple": (1, 2),
        "set": {1},
        "dataclass": Point(1, 2),
        "date": datetime.date(2026, 11, 24),
        "enum": Color.RED,
        "decimal": Decimal("1.50"),
        "bytes": b"abc",
        "nan": float("nan"),
        "number": 2**70,
        "keys": {1: "a"},
        "full": "x" * 998,
        "more": "x" * 999,
        "object": object(),
        "function": give,
        "surrogate": "\udcff",
        "class": Point,
    }[kind]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("nothing", None),
        ("unicode", "é\u2028\U0001f600"),
        ("tuple", [1, 2]),
        ("set", [1]),
        ("dataclass", {"x": 1, "y": 2}),
        ("date", "2026-11-24"),
        ("enum", "red"),
        ("decimal", "1.50"),
        ("bytes", "YWJj"),
        ("nan", None),
        ("number", 2**70),
        ("keys", {"1": "a"}),
        ("full", "x" * 998),
    ],
)
def test_results_become_json(run, kind, given):
    """Whatever has an obvious form."""
    assert result(run, "give", kind) == given


@pytest.mark.parametrize("kind", ["object", "function", "surrogate", "class"])
def test_a_result_without_a_json_form_is_an_error(run, kind):
    """A final one."""
    assert isinstance(error(run, "give", kind), ResultNotJson)


def test_a_result_may_be_as_large_as_allowed_and_no_larger(run):
    """The text says both sizes."""
    raised = error(run, "give", "more")

    assert isinstance(raised, ResultTooLarge)
    assert "1001" in str(raised)
    assert "1000" in str(raised)


@own
def nested(levels: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(levels - 1):
        deep = [deep]
    return deep


@own
def circular() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


def test_a_result_without_end_is_an_error(run):
    """The recursion is caught."""
    assert isinstance(error(run, "circular"), ResultNotJson)


@pytest.mark.parametrize("levels", [65, 400, 100_000])
def test_a_deep_result_is_an_error(run, levels):
    """As deep arguments are: who lists jobs could not read it."""
    assert isinstance(error(run, "nested", levels), ResultNotJson)


@own
def generator():
    yield 1


def test_a_generator_is_no_result(run):
    """A task is a plain or an async function."""
    assert isinstance(error(run, "generator"), ResultNotJson)


# Errors


class Own(BaseException):
    pass


RAISED = {
    "error": ValueError("no"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
    "own": Own("bare"),
    "memory": MemoryError(),
    "recursion": RecursionError("deep"),
    "group": BaseExceptionGroup("many", [ValueError(), SystemExit()]),
    "cancelled": JobCancelled(),
    "timeout": TimeoutError("the task's own"),
}


@own
def fails(kind: str) -> None:
    raise RAISED[kind]


@own
async def fails_later(kind: str) -> None:
    await asyncio.sleep(0)
    raise RAISED[kind]


@pytest.mark.parametrize("name", ["fails", "fails_later"])
@pytest.mark.parametrize("kind", RAISED)
def test_whatever_a_task_raises_is_its_outcome(run, name, kind):
    """The slot, and the event loop, go on: `run` itself looks after the test."""
    assert RAISED[kind] is error(run, name, kind)
    assert result(run, "later", 7) == 7


@own
async def cancels_itself() -> None:
    raise asyncio.CancelledError


def test_a_coroutine_that_cancels_itself_has_failed(run):
    """Nobody asked for it."""
    assert isinstance(error(run, "cancels_itself"), asyncio.CancelledError)


# Coroutines


@own
async def later(value: int) -> int:
    await asyncio.sleep(0.001)
    return value


@own
async def who() -> list[Any]:
    before = current_job().id
    await asyncio.sleep(0)
    job = current_job()
    job.progress(1, 2)
    return [before, job.id, job.task, job.attempt]


@own
def who_here() -> list[Any]:
    job = current_job()
    return [job.id, job.id, job.task, job.attempt]


@pytest.mark.parametrize("name", ["who", "who_here"])
def test_the_current_job_is_known_in_the_task_only(run, name):
    """In a coroutine too; and the thread forgets it."""
    made, failure = run(name, number=2)

    assert failure is None
    assert json.loads(made.result) == [made.id, made.id, name, 2]
    assert current_job().id == "none"


@own
def spins() -> None:
    while True:
        time.sleep(0)


@own
async def sleeps() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("name", ["spins", "sleeps"])
@pytest.mark.parametrize("reason", [JobTimeout, JobCancelled])
def test_an_interrupt_ends_a_task(run, name, reason):
    """Both kinds, with the reason as the outcome."""
    assert isinstance(error(run, name, interrupt=reason), reason)


cleaned: list[str] = []


@own
async def cleans_up() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.01)
        cleaned.append(current_job().id)


def test_a_coroutine_may_clean_up_before_its_slot_is_free(run):
    """The attempt ends when it has."""
    made, raised = run("cleans_up", interrupt=JobTimeout)

    assert isinstance(raised, JobTimeout)
    assert cleaned == [made.id]


@own
async def catches() -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "caught"
    return "slept"


def test_a_coroutine_may_answer_an_interrupt_with_a_result(run):
    """As a plain function may."""
    assert result(run, "catches", interrupt=JobTimeout) == "caught"


@own
async def fails_when_cancelled() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise LookupError("while cleaning up") from None


def test_an_error_while_cleaning_up_is_the_outcome(run):
    """It is what the task raised in the end."""
    assert isinstance(error(run, "fails_when_cancelled", interrupt=JobTimeout), LookupError)


open_gate = threading.Event()


@own
async def stubborn() -> str:
    while not open_gate.is_set():
        try:
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            continue
    return "done"


def test_a_coroutine_that_does_not_end_keeps_its_slot(run):
    """The attempt has not ended before it has: whoever set the limit has to end the process."""
    made = run.start("stubborn")
    poll(lambda: made.is_over(0.05))
    made.interrupt(JobTimeout)

    assert made.is_over(0)
    assert result(run, "later", 1) == 1  # in the other slot
    assert made.id not in run.ended
    open_gate.set()
    assert poll(lambda: run.ended.get(made.id))[1] is None


def test_an_interrupt_before_a_coroutine_has_begun_ends_it(run):
    """It never runs, and the loop is none the worse for it."""
    for _ in range(40):
        made = run.start("sleeps")
        made.interrupt(JobCancelled)
        ended, raised = outcome(run, made)
        assert isinstance(raised, JobCancelled)
        assert ended.result == ""


def test_interrupts_during_the_start_of_coroutines_leave_none_behind(run):
    """Whatever moment they hit."""
    for n in range(40):
        made = run.start("sleeps")
        poll(partial(has_started, made))
        for _ in range(n * 50):
            pass
        made.interrupt(JobTimeout)
        assert isinstance(outcome(run, made)[1], JobTimeout)


@pytest.fixture
def hit_in_collector():
    """What a slot is in when an interrupt hits it: the garbage collector, at the start of an attempt."""
    state: dict[str, Any] = {"asked": threading.Event(), "seen": threading.Event(), "attempt": None}

    def callback(phase, info):
        is_slot = type(threading.current_thread()).__name__ == "WorkerThread"
        made = state["attempt"]
        if is_slot and made is not None and made.is_over(0) and not state["asked"].is_set():
            state["seen"].set()
            state["asked"].wait(30)
            for _ in range(1_000):
                pass

    usual = gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(1)
    yield state
    gc.set_threshold(*usual)
    gc.callbacks.remove(callback)


@pytest.mark.parametrize("reason", [JobTimeout, JobCancelled, JobLost, WorkerStopping])
def test_a_coroutine_is_interrupted_whatever_its_slot_is_in(run, hit_in_collector, reason):
    """Nothing is raised in the slot's thread, where it would be lost: the coroutine itself is cancelled."""
    made = hit_in_collector["attempt"] = attempt("sleeps")
    run.slots.run([made])
    assert hit_in_collector["seen"].wait(30)

    made.interrupt(reason)
    hit_in_collector["asked"].set()

    assert isinstance(outcome(run, made)[1], reason)


@own
async def keywords(function: int, attempt: int, task: int) -> list[int]:
    return [function, attempt, task]


@own
def keywords_here(function: int, attempt: int, task: int) -> list[int]:
    return [function, attempt, task]


@pytest.mark.parametrize("name", ["keywords", "keywords_here"])
def test_a_parameter_may_have_any_name(run, name):
    """Also one that the worker itself uses."""
    given = {"function": 1, "attempt": 2, "task": 3}

    assert result(run, name, kwargs=given) == [1, 2, 3]
