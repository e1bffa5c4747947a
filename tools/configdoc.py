"""Write `.env.example` and `docs/configuration.md` from the settings: `python -m tools.configdoc`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from msgspec import Meta
from msgspec.structs import FieldInfo

from taskyard.config import FIELDS, Settings
from taskyard.config_checks import type_text

ENV_FILE = Path(".env.example")
PAGE = Path("docs/configuration.md")

_ENV_HEAD = """\
# All settings of taskyard, with their defaults. Copy to .env and uncomment what you change.
# Made by `python -m tools.configdoc`; docs/configuration.md has the same as a table.
"""
_PAGE_HEAD = """\
# Configuration

Every setting is an environment variable; an empty one counts as not set.
Each service reads them once when it starts.
If any is unusable it names all faults at once and exits with 2.
`BROKER_URL_FILE`, `RESULT_BACKEND_FILE` and `API_KEY_FILE` name files that hold what is secret,
such as secrets of Docker or Kubernetes: set either these or the variables without `_FILE`.
A Python program gives them to `taskyard.configure(broker_url=…, …)` under the same names in lower case.

<!-- Made by `python -m tools.configdoc` from shared/taskyard/config.py; change it there. -->
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
            f"| `{name.upper()}` | {_code(_default(field))} | {_accepted(field)} | {_description(field)} |\n"
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
        elif (start := re.match(r"    (\w+): ", line)) and start[1] in FIELDS:
            fields.append((start[1], FIELDS[start[1]]))
    yield title, fields


def _sentence(field: FieldInfo) -> str:
    choice = _choices(field)
    return f"{_description(field)}{f' One of {choice}.' if choice else ''}"


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
    if get_origin(field.type.__origin__) is Literal:
        return ", ".join(get_args(field.type.__origin__))
    return ""


def _accepted(field: FieldInfo) -> str:
    return type_text(field.type).removeprefix("a ").removeprefix("one of ")


def _description(field: FieldInfo) -> str:
    metas: list[Meta] = [each for each in field.type.__metadata__ if isinstance(each, Meta)]
    return metas[-1].description or ""


if __name__ == "__main__":
    for written in write(Path.cwd()):
        print(f"written: {written}")
