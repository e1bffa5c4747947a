"""What is wrong with what a command was given, in the command's own words and not in those of REST."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from taskyard.cli.exits import NOT_FOUND, USAGE, fail, with_asked
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.operations.controls import names as names_of
from taskyard.store import JobStore
from taskyard.store.controls import Kind

#: Fields of REST and the options that they are here.
FIELDS = {
    "task": "TASK",
    "args": "ARGS",
    "kwargs": "-k",
    "id": "--id",
    "queue": "--queue",
    "priority": "--priority",
    "delay_s": "--delay",
    "run_at": "--run-at",
    "expires_s": "--expires",
    "max_retries": "--max-retries",
    "timeout_s": "--timeout",
    "tags": "--tag",
    "name": "NAME",
    "description": "--description",
    "cron": "--cron",
    "every_s": "--every",
    "anchor_at": "--anchor",
    "timezone": "--timezone",
    "jitter_s": "--jitter",
    "missed": "--missed",
    "missed_max": "--missed-max",
    "grace_s": "--grace",
    "overlap": "--overlap",
    "is_paused": "--paused",
    "reason": "--reason",
    #: Given by their ids.
    "ids": "",
}
#: What texts have that know a name that may be meant.
_SLIP = "did you mean"
#: Names that an error repeats.
MAX_NAMES = 20
_NAMES = re.compile(rf"\b({'|'.join(FIELDS)})\b")
_LISTS = re.compile(r"see GET /v1/(\w+)")
#: What is of these kinds may be there in another store than the one that was asked.
_NOT_THERE = frozenset({"not_found", "unknown_task", "unknown_queue"})
#: What texts of these kinds name are fields; those of others repeat what was given.
_OF_FIELDS = frozenset({"conflict", "empty", "missing"})


@contextmanager
def in_words() -> Iterator[None]:
    """End the command where what it was given is refused, and say so by the names of its options."""
    try:
        yield
    except InvalidSubmission as error:
        is_missing = all(fault.code == "not_found" for fault in error.faults)
        lines = list(map(said, error.faults))
        if any(map(_may_be_elsewhere, error.faults)):
            lines = with_asked(*lines)
        fail(lines, NOT_FOUND if is_missing else USAGE)


def _may_be_elsewhere(fault: Fault) -> bool:
    """Return whether another store may have it; a name that is nearly one is a slip."""
    return fault.code in _NOT_THERE and _SLIP not in fault.detail


def said(fault: Fault) -> str:
    """Return a fault in the words of the command line."""
    first, *others = (_unescaped(part) for part in fault.pointer.removeprefix("/").split("/"))
    text = _LISTS.sub(r"`taskyard \1` lists them", fault.detail)
    if first != "kwargs" and fault.code in _OF_FIELDS:
        text = _NAMES.sub(lambda match: FIELDS[match[1]], text)
    where = _where(first, others)
    return f"{where}: {text}" if where else text


def _where(field: str, others: list[str]) -> str:
    if field not in FIELDS:
        return field
    if field == "args" and others:
        place, *others = others
        return _within(f"argument {int(place) + 1}" if place.isdigit() else place, others)
    if field == "kwargs" and others:
        name, *others = others
        return _within(f"-k {name}", others)
    return FIELDS[field]


def _within(where: str, path: Iterable[str]) -> str:
    inner = ".".join(path)
    return f"{where}, in {inner}" if inner else where


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def check_name(store: JobStore, kind: Kind, name: str) -> None:
    """End the command if there is no such task or queue; say which one may be meant."""
    names = names_of(store, kind)
    if name not in names:
        fail(not_there(kind, name, names), NOT_FOUND)


def not_there(kind: str, name: str, names: Iterable[str]) -> list[str]:
    """Return lines that there is none of a name; where it is no slip, with the store that was asked."""
    line = unknown(kind, name, names)
    return [line] if _SLIP in line else with_asked(line)


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """Return that there is no such task, queue or schedule, and which one may be meant."""
    names = sorted(names)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"no {kind} {name!r}; did you mean {' or '.join(map(repr, near))}?"
    if len(names) > MAX_NAMES:
        return f"no {kind} {name!r}; `taskyard {kind}s` tells what there is"
    return f"no {kind} {name!r}; there are: {', '.join(names) or 'none'}"
