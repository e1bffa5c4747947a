"""Write `.env.example` and `docs/configuration.md` from the settings: `python -m taskyard.configdoc`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo

from taskyard.config import Settings
from taskyard.message import MAX_SECONDS

ENV_FILE = Path(".env.example")
PAGE = Path("docs/configuration.md")

_ENV_HEAD = """\
# All settings of taskyard, with their defaults. Copy to .env and uncomment what you change.
# Made by `python -m taskyard.configdoc`; docs/configuration.md has the same as a table.
"""
_PAGE_HEAD = """\
# Configuration

Every setting is an environment variable; an empty one counts as not set.
Each service reads them once when it starts.
If any is unusable it names all faults at once and exits with 2.
`BROKER_URL_FILE`, `RESULT_BACKEND_FILE` and `API_KEY_FILE` name files that hold what is secret,
such as secrets of Docker or Kubernetes: set either these or the variables without `_FILE`.
A Python program gives them to `taskyard.configure(broker_url=…, …)` under the same names in lower case.

<!-- Made by `python -m taskyard.configdoc` from shared/taskyard/config.py; change it there. -->
"""


def env_example() -> str:
    """Return the text of `.env.example`."""
    parts = [_ENV_HEAD]
    for title, fields in _sections():
        parts.append(f"# --- {title}\n")
        for name, field in fields:
            parts.append(f"# {_sentence(field)}\n#{name.upper()}={_default(field)}\n")
    return "\n".join(parts)


def page() -> str:
    """Return the text of `docs/configuration.md`."""
    parts = [_PAGE_HEAD]
    for title, fields in _sections():
        rows = [
            f"| `{name.upper()}` | {_code(_default(field))} | {_accepted(field)} | {field.description} |\n"
            for name, field in fields
        ]
        head = "| variable | default | accepted | meaning |\n|---|---|---|---|\n"
        parts.append(f"## {title}\n\n{head}{''.join(rows)}")
    return "\n".join(parts)


def write(root: Path) -> list[Path]:
    """Write both files under `root`; return those that changed."""
    changed = []
    for path, text in ((root / ENV_FILE, env_example()), (root / PAGE, page())):
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed


def _sections() -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    """Yield the settings under the comments that head them in the class."""
    title, fields = "", list[tuple[str, FieldInfo]]()
    for line in inspect.getsource(Settings).splitlines():
        if heading := re.match(r"    # (\w.*)$", line):
            if fields:
                yield title, fields
            title, fields = heading[1], []
        elif (start := re.match(r"    (\w+): ", line)) and start[1] in Settings.model_fields:
            fields.append((start[1], Settings.model_fields[start[1]]))
    yield title, fields


def _sentence(field: FieldInfo) -> str:
    choice = _choices(field)
    return f"{field.description}{f' One of {choice}.' if choice else ''}"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else "(empty)"


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(field.annotation))
    return ""


def _accepted(field: FieldInfo) -> str:
    """Return in words what values are accepted."""
    if choices := _choices(field):
        return choices
    if field.annotation is bool:
        return "true, false"
    if field.annotation == tuple[str, ...]:
        return "names, separated by commas"
    limits = {type(limit): limit for limit in field.metadata}
    if field.annotation is str:
        return "text, not empty" if MinLen in limits else "text"
    kind = "whole number" if field.annotation is int else "number"
    low, above, high = limits.get(Ge), limits.get(Gt), limits.get(Le)
    words = [f"{low.ge} or more"] if low else [f"above {above.gt}"] if above else []
    if high and high.le != MAX_SECONDS:  # a hundred years are no limit to tell of
        words.append(f"at most {high.le}")
    return ", ".join([kind, *words])


if __name__ == "__main__":
    for written in write(Path.cwd()):
        print(f"written: {written}")
