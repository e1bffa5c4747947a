"""`@task`: a function that can be run in the background, by its name."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Never, ParamSpec, Protocol, TypeVar, overload

from taskyard.arguments.plain import is_plain
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault

if (
    TYPE_CHECKING
):  # `import taskyard` stays quick: what checks and hands over comes with the first task
    from taskyard.request import JobRequest
    from taskyard.store.jobs import UniquePolicy
    from taskyard.task_options import TaskOptions

P = ParamSpec("P")
R = TypeVar("R")


class Submitter(Protocol):
    """Where `.delay()` hands a job over; `taskyard.client` binds itself here."""

    def __call__(self, task: "Task[..., Any]", request: "JobRequest") -> Any:
        """Dispatch a job of the task and return its handle."""


class Task(Generic[P, R]):
    """A function that can be run in the background. Calling it runs it here and now.

    Args:
        function: The user's function, plain or `async`.
        name: What jobs call it; unique among all tasks of a worker.
        options: What `@task` was told.
    """

    submitter: Submitter
    #: Imports what handing over needs; bound with the submitter.
    get_ready: Callable[[], None]

    def __init__(self, function: Callable[P, R], name: str, options: "TaskOptions") -> None:
        self.function = function
        self.name = name
        self.options = options
        self._signature = inspect.signature(function)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, without a job."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Return a text with the name and queue."""
        return f"<task {self.name} on queue {self.options.queue}>"

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Hand a job over to be run as soon as possible, and return its `JobHandle`.

        Raises:
            InvalidSubmission: If the arguments do not fit the function, or have no JSON form.
            Unavailable: If RabbitMQ or the store does not answer in time; the job does not run then.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        countdown: float | None = None,
        eta: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        expires: float | datetime | timedelta | None = None,
        max_retries: int | None = None,
        timeout_s: float | None = None,
        tags: Sequence[str] = (),
        job_id: str | None = None,
        **unknown: Never,
    ) -> Any:
        """Hand a job over with more to say than `delay`, and return its `JobHandle`.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            countdown: Run after this many seconds; not together with `eta`.
            eta: Run at this time. One without a time zone is in UTC.
            priority: 0 to 9, higher first.
            queue: Another queue than the task's own.
            expires: Never start later than this: seconds from now, a timedelta, or a time.
            max_retries: Retries if it fails.
            timeout_s: Time limit of each attempt, in seconds.
            tags: Words to find the job by.
            job_id: An id of the caller's choice: the same id twice is one job.
            unknown: Nothing; a name that is none of these is told with what may be meant.

        Raises:
            TypeError: If there is no such option.
            InvalidSubmission: If anything is wrong; `faults` names all of it.
            Unavailable: If RabbitMQ or the store does not answer in time; the job does not run then.
        """
        from taskyard.request import parse

        if unknown:
            raise TypeError(f"apply_async: {_no_options(unknown)}")
        kwargs = kwargs or {}
        _check_shapes(args, kwargs)
        args = list(args)
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            text = f"{self.name}: {error}{self._hint_for_options(kwargs)}"
            raise InvalidSubmission([Fault("/args", "arguments", text)]) from None
        args, kwargs = self._as_json(args, kwargs)
        fields = {
            "task": self.name,
            "args": args,
            "kwargs": kwargs,
            "id": job_id,
            "queue": queue,
            "priority": priority,
            "delay_s": countdown,
            "run_at": _in_utc(eta),
            "expires_s": _seconds_from_now(expires),
            "max_retries": max_retries,
            "timeout_s": timeout_s,
            "tags": tags if isinstance(tags, str) else list(tags),
        }
        try:
            request = parse(fields)
        except InvalidSubmission as error:
            raise InvalidSubmission(map(_in_own_words, error.faults)) from None
        return Task.submitter(self, request)

    def _hint_for_options(self, kwargs: Mapping[str, Any]) -> str:
        own = self._signature.parameters
        options = [each for each in kwargs if each in _OPTIONS and each not in own]
        return f"; {', '.join(options)} is for apply_async" if options else ""

    def _as_json(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if is_plain(args) and (not kwargs or is_plain(kwargs)):
            return args, kwargs
        from taskyard.arguments.values import as_json

        return as_json(self.function, args, kwargs)


#: What `apply_async` takes, by name.
_OPTIONS = tuple(Task.apply_async.__kwdefaults__ or ())


def _no_options(names: Iterable[str]) -> str:
    from taskyard.validation.field_words import no_such

    texts = [no_such("option", name, _OPTIONS, is_listed=False) for name in names]
    return f"{'; '.join(texts)} (it takes: args, kwargs, {', '.join(_OPTIONS)})"


#: All tasks of the modules that were imported, by name.
registry: dict[str, Task[..., Any]] = {}


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    queue: str = "default",
    priority: int = 5,
    max_retries: int | None = None,
    timeout_s: float | None = None,
    expires_s: float | None = None,
    retry_min_s: float | None = None,
    retry_max_s: float | None = None,
    final_errors: Sequence[type[BaseException]] = (),
    concurrency: int | None = None,
    rate: str | None = None,
    key: str | None = None,
    unique_for: float | None = None,
    unique_key: str | Sequence[str] = (),
    unique_policy: "UniquePolicy" = "existing",
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a function a task: `@task`, or `@task(queue=…, max_retries=…, timeout_s=…, …)`.

    Args:
        function: The function, plain or `async`.
        name: What jobs call it; the function's own name by default.
        options: The fields of `TaskOptions`.

    Raises:
        ValueError: If the name or an option is not allowed, or another function has this name already.
        TypeError: If an option is not known, or has no name.
    """
    from taskyard.task_options import checked, make_options

    if function is not None and not callable(function):
        text = f"@task: {function!r} is no function"
        raise TypeError(f"{text}: options have names, as in @task(queue='mail')")
    Task.get_ready()
    chosen = make_options(**options)

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        task_name = name or function.__name__
        made = Task(function, task_name, checked(chosen, task_name, function))
        other = registry.get(made.name)
        if other is not None and _place(other.function) != _place(function):
            raise ValueError(
                f"two tasks are called {made.name!r}: {_place(other.function)} and {_place(function)}; "
                "give one of them another name with @task(name=…)"
            )
        registry[made.name] = made
        return made

    return decorate if function is None else decorate(function)


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _check_shapes(args: object, kwargs: object) -> None:
    """Refuse what would be taken apart into arguments that nobody meant, such as a text."""
    faults = []
    if isinstance(args, (str, bytes)) or not isinstance(args, Iterable):
        faults.append(Fault("/args", "type", "must be a list or tuple of arguments"))
    if not isinstance(kwargs, Mapping):
        faults.append(Fault("/kwargs", "type", "must be a dict of arguments by name"))
    if faults:
        raise InvalidSubmission(faults)


#: What `apply_async` calls fields of a request.
_OWN_WORDS = {
    "/id": "/job_id",
    "/delay_s": "/countdown",
    "/run_at": "/eta",
    "/expires_s": "/expires",
}


def _in_own_words(fault: Fault) -> Fault:
    pointer = _OWN_WORDS.get(fault.pointer, fault.pointer)
    is_both = (fault.pointer, fault.code) == ("/run_at", "conflict")
    detail = "give countdown or eta, not both" if is_both else fault.detail
    return Fault(pointer, fault.code, detail)


def _in_utc(moment: datetime | None) -> datetime | None:
    # What is no time is refused with all else that is wrong, by `parse`.
    if isinstance(moment, datetime) and moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment


def _seconds_from_now(limit: float | datetime | timedelta | None) -> float | None:
    if isinstance(limit, timedelta):
        return limit.total_seconds()
    moment = _in_utc(limit) if isinstance(limit, datetime) else None
    if moment is not None:
        return (moment - datetime.now(UTC)).total_seconds()
    return limit  # type: ignore[return-value]  # a number or None by now
