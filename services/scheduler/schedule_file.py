"""The file that declares schedules, read once at start."""

import tomllib
from pathlib import Path
from typing import Any

from taskyard.config import Settings
from taskyard.errors import ConfigurationError, InvalidSubmission
from taskyard.schedules.rule import Schedule, parse

#: Where schedules are declared if SCHEDULES_FILE does not say; it may be missing.
DEFAULT_FILE = "tasks/schedules.toml"


def read(settings: Settings) -> list[Schedule] | None:
    """Return the declared schedules, or None if there is no file and none was asked for.

    Raises:
        ConfigurationError: If the file cannot be used; the text names all faults.
    """
    path = Path(settings.schedules_file or DEFAULT_FILE)
    if not settings.schedules_file and not path.exists():
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"SCHEDULES_FILE={path}: {error}") from None
    tables = document.pop("schedules", {})
    faults = [f"{path}: {key}: only [schedules.NAME] tables are known" for key in document]
    if not isinstance(tables, dict):
        raise ConfigurationError(f"{path}: schedules: must be tables like [schedules.NAME]")
    schedules = []
    for name, table in tables.items():
        try:
            schedules.append(_schedule(name, table))
        except InvalidSubmission as error:
            where = f"{path}: schedules.{name}"
            faults += [
                f"{where}{each.pointer.replace('/', '.')}: {each.detail}" for each in error.faults
            ]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return schedules


def _schedule(name: str, table: Any) -> Schedule:
    fields = table if isinstance(table, dict) else {"task": table}
    return parse({**fields, "name": name})
