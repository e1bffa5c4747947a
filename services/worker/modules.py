"""Loading the user's task modules by name, and telling where one of them is broken."""

import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from taskyard.arguments.signature import described
from taskyard.errors import ConfigurationError
from taskyard.runtime.short_text import cut
from taskyard.task import Task, registry

#: Longest text of an error at an import, as JSON. Bytes.
MAX_ERROR_BYTES = 1_000
#: Longest line of source that is quoted. Bytes.
MAX_LINE_BYTES = 200
#: Most tasks and queues that are logged when a worker starts.
SHOWN = 50
#: Where a user's mistake may come to light, but is not made.
_OURS = ("taskyard.", "services.worker.", "importlib.")


def load_tasks(modules: Sequence[str]) -> dict[str, Task[..., Any]]:
    """Import `modules` and return all tasks by name; the working directory is on the path.

    Raises:
        ConfigurationError: If a module is not there or cannot be imported, if none of them has a task, or one
            has hints that mean nothing.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:  # some are no `Exception`, as a KeyboardInterrupt
            raise ConfigurationError(_why_not(name, error, here)) from error
    if not registry:
        raise ConfigurationError(f"no @task in TASK_MODULES={','.join(modules)}")
    for task in registry.values():
        _check_hints(task)
    return dict(registry)


def task_facts(tasks: Mapping[str, Task[..., Any]], queues: Sequence[str]) -> dict[str, Any]:
    """Return which queues are read, and the first `SHOWN` tasks by the queues that their jobs go to."""
    names = sorted(tasks)
    by_queue: dict[str, list[str]] = {}
    for name in names[:SHOWN]:
        by_queue.setdefault(tasks[name].options.queue, []).append(name)
    omitted = {"tasks_omitted": len(names) - SHOWN} if len(names) > SHOWN else {}
    return {"queues": list(queues)[:SHOWN], "tasks": by_queue, **omitted}


def _check_hints(task: Task[..., Any]) -> None:
    """Refuse a task whose type hints cannot be understood: they are looked at now for the first time."""
    try:
        described(task.function)
    except Exception as error:
        code = inspect.unwrap(task.function).__code__
        where = f"{code.co_filename}, line {code.co_firstlineno}"
        text = f"the type hints of task {task.name!r} cannot be used: {where}: {_what(error)}"
        raise ConfigurationError(text) from error


def _why_not(name: str, error: BaseException, here: str) -> str:
    """Return why a module cannot be imported: where in it, and what."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and (name == missing or name.startswith(f"{missing}.")):
        return f"TASK_MODULES names {name!r}, which is not in {here} and is not installed"
    hint = "" if missing is None else "; is it installed where the worker runs?"
    where = _where(name, error, here)
    return f"TASK_MODULES names {name!r}, which cannot be imported: {where}{_what(error)}{hint}"


def _what(error: BaseException) -> str:
    lines = traceback.format_exception_only(error)
    # Before the last line of a SyntaxError there is its place.
    text = lines[-1] if isinstance(error, SyntaxError) else "".join(lines)
    return cut(text.strip(), MAX_ERROR_BYTES)


def _where(name: str, error: BaseException, here: str) -> str:
    """Return file, line and source of the user's code that failed, and where below it if it called others."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not f"{_module(frame)}.".startswith(_OURS)
    ]
    places = [(frame.f_code.co_filename, line) for frame, line in frames]
    users = [
        place
        for (frame, _), place in zip(frames, places, strict=True)
        if _is_users(frame, name, here)
    ]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).exists():
        users = places = [(error.filename, error.lineno or 1)]
    if not places:
        return ""
    file, line = place = (users or places)[-1]
    source = cut(linecache.getline(file, line).strip(), MAX_LINE_BYTES)
    below = "" if places[-1] == place else f", raised in {places[-1][0]}, line {places[-1][1]}"
    return f"{file}, line {line}{f' ({source})' if source else ''}{below}: "


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_users(frame: FrameType, name: str, here: str) -> bool:
    """Whether a frame is of the package that is imported, or of what lies beside it."""
    file = Path(frame.f_code.co_filename)
    is_beside = file.is_relative_to(here) and "site-packages" not in file.parts
    return is_beside or _module(frame).partition(".")[0] == name.partition(".")[0]
