"""What commands print: tables and cards for people, the documents of REST for programs.

Names and texts of others cannot make lines of their own, or move the cursor.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from taskyard.cli.table import Column, Table, styled
from taskyard.errors import TaskyardError
from taskyard.runtime.short_text import visible

Output = Literal["text", "json"]
Document = TypeVar("Document", bound=Mapping[str, Any])
#: Gives a command the argument `output`.
OUTPUT = click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text for people, json for programs: the documents of the REST API.",
)
#: Rows that are laid out and printed at a time: what is listed may be more than memory holds.
PAGE = 200
#: What a table shows of a message. Characters.
LINE_MAX = 100


def prepare_streams() -> None:
    """Have letters that the terminal's encoding has no form for escaped, instead of failing at them.

    A stream that is closed (`>&-`) takes what is written, and has nothing to read.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str, *, err: bool = False) -> None:
    """Print one line; what would not show in it, or end it, is escaped."""
    click.echo(visible(line), err=err)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON; what would not show is escaped as JSON has it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    click.echo("\n".join(map(visible, text.split("\n"))))


def say_list(
    documents: Iterable[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    output: Output,
    empty: str,
    page_rows: int = PAGE,
) -> None:
    """Print a list: a table, or one JSON object with `items`, as it comes.

    Args:
        documents: The items, as REST shows them.
        columns: What the table shows of them.
        output: Whether it is for people or for programs.
        empty: What is said, on standard error, where there is none and it is for people.
        page_rows: How many rows are awaited before they are printed.
    """
    if output == "json":
        _say_items(documents)
        return
    table = Table(columns, width=terminal_width(), is_coloured=has_colours(), now=datetime.now(UTC))
    is_empty = True
    for page in _pages(documents, page_rows):
        is_empty = False
        click.echo("\n".join(table.lines(page)))
    if is_empty:
        say(empty, err=True)


def say_one(
    document: Document,
    lines: Callable[[Document], Iterable[str]],
    *,
    output: Output,
) -> None:
    """Print one document: as lines for people, or as it is."""
    if output == "json":
        say_json(document, indent=2)
        return
    for line in lines(document):
        click.echo(line if isinstance(line, Drawn) else visible(line))


def say_answers(
    answers: Iterable[Mapping[str, Any]],
    line: Callable[[Mapping[str, Any]], str],
    *,
    output: Output,
) -> None:
    """Print what became of each of several: a line each for people, `items` for programs."""
    if output == "json":
        _say_items(answers)
        return
    for answer in answers:
        say(line(answer))


def verdict_line(answer: Mapping[str, Any]) -> str:
    """Return a line with the `id` of a job, the `verdict` and, where it has one, its `state`."""
    verdict = "too late: it is" if answer["verdict"] == "too_late" else answer["verdict"]
    return " ".join(filter(None, (answer["id"], verdict, answer["state"])))


class Drawn(str):
    """A line that is printed as it is: it has colours, and what is others' in it is visible."""

    __slots__ = ()


def card(*fields: tuple[str, Any]) -> list[str]:
    """Return lines with a name and a value each, aligned; those without a value are left out."""
    shown = [(name, visible(str(value))) for name, value in fields if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    return [Drawn(f"{name:<{width}}  {_drawn(name, value)}") for name, value in shown]


def _drawn(name: str, value: str) -> str:
    if name != "state":
        return value
    word, space, note = value.partition(" ")
    return f"{styled(word, is_coloured=has_colours())}{space}{note}"


def first_line(text: str) -> str:
    """Return the first line of a message, and not more of it than a table is to have."""
    line = text.partition("\n")[0]
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 3]}..."


def pause_text(document: Mapping[str, Any]) -> str:
    """Return by whom a task or a queue is paused, since when and why; empty if it is not."""
    pause = document["paused"]
    if not pause:
        return ""
    why = f": {pause['reason']}" if pause["reason"] else ""
    return f"by {pause.get('by') or 'nobody knows'} since {pause['at']}{why}"


def has_colours() -> bool:
    """Return whether standard output is a terminal that shows colours, and nobody has switched them off."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain


def terminal_width() -> int | None:
    """Return how many characters have room in a line of the terminal; None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _say_items(documents: Iterable[Mapping[str, Any]]) -> None:
    """Print an object with `items`, one a line."""
    click.echo('{"items": [', nl=False)
    end = ""
    for document in documents:
        click.echo(f"{end}\n{visible(json.dumps(document, ensure_ascii=False))}", nl=False)
        end = ","
    click.echo("\n]}" if end else "]}")


def _pages(documents: Iterable[Mapping[str, Any]], rows: int) -> Iterator[list[Mapping[str, Any]]]:
    """Give so many at a time; where reading them fails, first those that were read."""
    page: list[Mapping[str, Any]] = []
    try:
        for document in documents:
            page.append(document)
            if len(page) == rows:
                yield page
                page = []
    except TaskyardError:
        if page:
            yield page
        raise
    if page:
        yield page
