"""What `@task` may be told, and what of it makes sense."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from taskyard.arguments import signature
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.job_creation import UniqueRule
from taskyard.message import MAX_SECONDS
from taskyard.policy.limits import limits
from taskyard.request import parse
from taskyard.store.jobs import UniquePolicy
from taskyard.validation.field_words import no_such


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `@task` was told; None leaves it to the settings."""

    queue: str = "default"
    priority: int = 5
    max_retries: int | None = None
    timeout_s: float | None = None
    expires_s: float | None = None
    retry_min_s: float | None = None
    retry_max_s: float | None = None
    #: Errors that are final: no retry, dead letter at once.
    final_errors: tuple[type[BaseException], ...] = ()
    #: Jobs that run at a time over all workers, and jobs that start within a time (`100/m`) …
    concurrency: int | None = None
    rate: str | None = None
    #: … for each value of this parameter, if it is given.
    key: str | None = None
    #: Seconds for which, and parameters by which, a living job keeps out others that are alike.
    unique_for: float | None = None
    unique_key: tuple[str, ...] = ()
    unique_policy: UniquePolicy = "existing"
    #: The same as a rule; made of the three above.
    unique: UniqueRule | None = None


#: What `@task` takes, by name.
OPTIONS = ("name", *(each for each in TaskOptions.__struct_fields__ if each != "unique"))


def make_options(
    *,
    final_errors: Sequence[type[BaseException]] = (),
    unique_key: str | Sequence[str] = (),
    **options: Any,
) -> TaskOptions:
    """Return the options as `@task` is told them: lists may be any sequence, one name a text.

    Raises:
        TypeError: If an option is not known.
    """
    if unknown := [name for name in options if name not in OPTIONS]:
        texts = [no_such("option", name, OPTIONS, is_listed=False) for name in unknown]
        raise TypeError(f"@task: {'; '.join(texts)} (it takes: {', '.join(OPTIONS)})")
    names = (unique_key,) if isinstance(unique_key, str) else _all_of(unique_key)
    return TaskOptions(**options, final_errors=_all_of(final_errors), unique_key=names)


def _all_of(values: Any) -> tuple[Any, ...]:
    """Return the values, or the one that is no sequence: `checked` tells what is wrong with it."""
    return tuple(values) if isinstance(values, Iterable) else (values,)


def checked(options: TaskOptions, name: str, function: Callable[..., Any]) -> TaskOptions:
    """Return the options of a task that is called `name` and runs `function`, with its rule of uniqueness.

    Raises:
        ValueError: With all that is not allowed.
    """
    fields = ("queue", "priority", "max_retries", "timeout_s", "expires_s")
    faults = []
    try:
        parse({"task": name, **{field: getattr(options, field) for field in fields}})
    except InvalidSubmission as error:
        faults = [f"{_option(fault)}: {fault.detail}" for fault in error.faults]
    faults += _retry_faults(options)
    faults += _limit_faults(options, function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        faults.append(f"{function.__name__} yields: a task returns its result, such as a list")
    if faults:
        raise ValueError("; ".join(faults))
    return replace(options, unique=_unique_rule(options, function))


def _unique_rule(options: TaskOptions, function: Callable[..., Any]) -> UniqueRule | None:
    if options.unique_for is None:
        return None
    return UniqueRule(
        for_s=options.unique_for,
        key=options.unique_key,
        policy=options.unique_policy,
        # Not before it is needed: hints may name what the module defines further down.
        signature=cache(lambda: signature.describe(function)),
    )


def _retry_faults(options: TaskOptions) -> list[str]:
    low = 0.0 if options.retry_min_s is None else options.retry_min_s
    high = low if options.retry_max_s is None else options.retry_max_s
    faults = []
    if not (_is_number(low) and _is_number(high) and 0 <= low <= high):
        given = f"retry_min_s={options.retry_min_s!r}, retry_max_s={options.retry_max_s!r}"
        faults.append(f"{given}: must be numbers of seconds, 0 or more, in this order")
    errors: tuple[Any, ...] = options.final_errors
    return faults + [
        f"final_errors: {each!r} is no class of exceptions"
        for each in errors
        if not (isinstance(each, type) and issubclass(each, BaseException))
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _limit_faults(options: TaskOptions, function: Callable[..., Any]) -> list[str]:
    faults = []
    try:
        found = limits(options.concurrency, options.rate)
        if options.key is not None and not found:
            faults.append(f"key={options.key!r}: needs concurrency or rate")
    except ValueError as error:
        faults.append(str(error))
    for_s = options.unique_for
    if for_s is not None and not (_is_number(for_s) and 0 < for_s <= MAX_SECONDS):
        faults.append(f"unique_for={for_s!r}: must be a number of seconds above 0")
    if for_s is None and (options.unique_key or options.unique_policy != "existing"):
        faults.append("unique_key and unique_policy: need unique_for")
    if options.unique_policy not in get_args(UniquePolicy):
        text = " or ".join(map(repr, get_args(UniquePolicy)))
        faults.append(f"unique_policy={options.unique_policy!r}: must be {text}")
    names = inspect.signature(function).parameters
    named = [*options.unique_key, *([] if options.key is None else [options.key])]
    faults += [
        f"key {key!r}: {function.__name__} has no such parameter"
        for key in named
        if key not in names
    ]
    return faults


def _option(fault: Fault) -> str:
    return "name" if fault.pointer == "/task" else fault.pointer[1:]
