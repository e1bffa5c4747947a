"""`@task`, and what `.delay()` and `.apply_async()` ask for."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskyard.errors import InvalidSubmission
from taskyard.request import JobRequest
from taskyard.task import Task, task


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    # By the module itself: `taskyard.task` is the decorator.
    monkeypatch.setattr(sys.modules["taskyard.task"], "registry", {})


@pytest.fixture
def asked(monkeypatch) -> list[tuple[Task[..., Any], JobRequest]]:
    """What was handed over."""
    handed: list[tuple[Task[..., Any], JobRequest]] = []
    monkeypatch.setattr(
        Task, "submitter", staticmethod(lambda task, request: handed.append((task, request)))
    )
    return handed


def test_a_task_is_a_function():
    """Calling it runs it here; its name and docstring are the function's."""

    @task
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, 2) == 3
    assert (getattr(add, "__name__", None), add.__doc__, add.name) == ("add", "Add.", "add")
    assert "add on queue default" in repr(add)


def test_the_id_of_a_fire_time_is_refused(asked):
    """As at every door."""
    run = task(name="run")(lambda: None)

    with pytest.raises(InvalidSubmission) as caught:
        run.apply_async(job_id="nightly:20261125T023000Z")
    assert [(f.pointer, f.code) for f in caught.value.faults] == [("/job_id", "fire_id")]
    assert asked == []


def test_options_are_kept():
    """Each as it was given."""

    @task(name="n", queue="q", priority=9, max_retries=0, timeout_s=1, final_errors=[ValueError])
    def add() -> None: ...

    assert (
        add.name,
        add.options.queue,
        add.options.priority,
        add.options.max_retries,
        add.options.timeout_s,
        add.options.final_errors,
    ) == ("n", "q", 9, 0, 1, (ValueError,))


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 10},
        {"queue": "a b"},
        {"queue": "a.dead"},
        {"max_retries": -1},
        {"timeout_s": 0},
        {"expires_s": -1},
        {"retry_min_s": -1},
        {"retry_min_s": 2, "retry_max_s": 1},
        {"retry_min_s": "5"},
        {"retry_min_s": float("nan")},
        {"retry_max_s": "5"},
        {"final_errors": ["ValueError"]},
        {"final_errors": [ValueError("it broke")]},
    ],
)
def test_an_option_out_of_range_is_refused(options):
    """When the module is imported, by name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        task(name="add", **options)(lambda: None)


@pytest.mark.parametrize("name", ["", "a b", "a\n", "-x", "a" * 101])
def test_a_name_that_no_submission_could_give_is_refused(name):
    """A task that cannot be asked for is a mistake."""
    with pytest.raises(ValueError, match="name"):
        task(name=name)(lambda: None)


def test_an_unknown_option_is_refused():
    """A typing mistake is found at once."""
    with pytest.raises(TypeError):
        task(prioritaet=1)  # type: ignore[call-overload]


@pytest.mark.parametrize("value", ["mail", 5])
def test_an_option_without_its_name_is_refused(value):
    """The first argument is the function."""
    with pytest.raises(TypeError, match="is no function: options have names, as in @task"):
        task(value)


def test_two_tasks_cannot_have_one_name():
    """The same function may be registered again, as a module that is imported twice does."""

    def add() -> None: ...

    task(add)
    task(add)
    with pytest.raises(ValueError, match="two tasks are called 'add'"):
        task(name="add")(lambda: None)


def test_delay_hands_over_the_arguments(asked):
    """As JSON will have them."""

    @task(queue="q")
    def add(a: int, b: int) -> None: ...

    add.delay(1, b=2)

    ((handed, request),) = asked
    assert (
        handed.options.queue,
        request.task,
        request.args,
        request.kwargs,
    ) == ("q", "add", [1], {"b": 2})


def test_apply_async_takes_everything(asked):
    """Under the names that users of other systems know."""

    @task
    def add(*args: Any) -> None: ...

    add.apply_async(
        [1],
        countdown=5,
        priority=1,
        queue="q",
        expires=9,
        max_retries=2,
        timeout_s=3,
        tags=["t"],
        job_id="x",
    )

    request = asked[0][1]
    assert (
        request.args,
        request.delay_s,
        request.priority,
        request.queue,
        request.expires_s,
        request.max_retries,
        request.timeout_s,
        request.tags,
        request.id,
    ) == ([1], 5, 1, "q", 9, 2, 3, ["t"], "x")


def test_an_eta_without_a_time_zone_is_in_utc(asked):
    """One with a zone is taken as it is."""

    @task
    def add() -> None: ...

    add.apply_async(eta=datetime(2026, 11, 24, 10))

    assert datetime(2026, 11, 24, 10, tzinfo=UTC) == asked[0][1].run_at


@pytest.mark.parametrize(
    "expires", [60, 60.0, timedelta(minutes=1), datetime.now(UTC) + timedelta(minutes=1)]
)
def test_expires_may_be_seconds_a_span_or_a_time(asked, expires):
    """All become seconds from now."""

    @task
    def add() -> None: ...

    if isinstance(expires, datetime):
        expires = datetime.now(UTC) + timedelta(minutes=1)
    add.apply_async(expires=expires)

    assert 55 < asked[0][1].expires_s <= 60


def test_a_time_that_has_passed_is_refused(asked):
    """Such a job could never start."""

    @task
    def add() -> None: ...

    with pytest.raises(InvalidSubmission, match="/expires: "):
        add.apply_async(expires=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("args", "kwargs"), [([], {}), ([1, 2], {}), ([1], {"a": 1}), ([], {"z": 1})]
)
def test_arguments_that_do_not_fit_are_refused(asked, args, kwargs):
    """Before anything is handed over."""

    @task
    def one(a: int) -> None: ...

    with pytest.raises(InvalidSubmission, match="one"):
        one.apply_async(args, kwargs)
    assert asked == []


def test_tasks_are_found_by_name():
    """The worker looks there."""

    @task(name="n")
    def add() -> None: ...

    assert sys.modules["taskyard.task"].registry == {"n": add}


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"args": "ab"}, "/args"),
        ({"args": 1}, "/args"),
        ({"args": (1, 2), "kwargs": [1]}, "/kwargs"),
        ({"args": (1, 2), "tags": "abc"}, "/tags"),
        ({"args": (1, 2), "eta": "tomorrow"}, "/eta"),
        ({"args": (1, 2), "countdown": "soon"}, "/countdown"),
        ({"args": (1, 2), "expires": "1h"}, "/expires"),
        ({"args": (1, 2), "job_id": "a b"}, "/job_id"),
    ],
)
def test_what_has_the_wrong_type_is_refused_and_named(asked, options, pointer):
    """A text is not taken apart into arguments or tags."""

    @task
    def add(a: int, b: int) -> None: ...

    with pytest.raises(InvalidSubmission) as caught:
        add.apply_async(**options)

    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    assert asked == []


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (
            "retries",
            "there is no option 'retries'; did you mean 'max_retries' or 'retry_min_s'? (it takes: name, ",
        ),
        ("que", "there is no option 'que'; did you mean 'queue'? (it takes: name, queue, "),
        ("x", "there is no option 'x' (it takes: name, queue, priority, max_retries, "),
        ("unique", "there is no option 'unique'; did you mean 'unique_key'"),
    ],
)
def test_an_option_that_there_is_not_may_be_another(option, text):
    """All that there are are listed."""
    with pytest.raises(TypeError) as caught:
        task(**{option: 3})  # type: ignore[call-overload]  # as a user may who has no type checker

    assert str(caught.value).startswith(f"@task: {text}")


def test_an_option_of_apply_async_that_there_is_not_may_be_another(asked):
    """And one of `apply_async` that `delay` was given is told to be that."""

    @task
    def add(a: int) -> None: ...

    with pytest.raises(TypeError, match="no option 'contdown'; did you mean 'countdown'"):
        add.apply_async((1,), contdown=3)  # type: ignore[arg-type]  # a type checker says so too
    with pytest.raises(
        InvalidSubmission, match=r"add: .*'countdown'; countdown is for apply_async"
    ):
        add.delay(1, countdown=3)  # type: ignore[call-arg]  # likewise
    assert asked == []


def test_a_generator_is_no_task():
    """What it yields would go nowhere; it is told when the module is imported."""
    with pytest.raises(ValueError, match="yields: a task returns its result, such as a list"):

        @task
        def give() -> Any:
            yield 1
