"""Loading the user's task modules by name."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskyard.errors import ConfigurationError
from taskyard.task import Task, registry


def load_tasks(modules: Sequence[str]) -> dict[str, Task[..., Any]]:
    """Import `modules` and return all tasks by name; the working directory is on the path.

    Raises:
        ConfigurationError: If a module is not there, or none of them has a task.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigurationError(
                    f"TASK_MODULES names {name!r}, which is not in {here} and is not installed"
                ) from None
            raise
    if not registry:
        raise ConfigurationError(f"no @task in TASK_MODULES={','.join(modules)}")
    return dict(registry)
