"""The `taskyard dead-letters` commands that show dead letters, and the group of all of them."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli.commands.letter_changes import (
    letter_filter,
    purge,
    replay,
    replays,
    stop_replay,
    wanted_letters,
)
from taskyard.cli.output import OUTPUT, Output, card, first_line, say_list, say_one
from taskyard.cli.table import Column
from taskyard.client import Client
from taskyard.config import load
from taskyard.dead_letters.document import LetterDocument, group_document, letter_document
from taskyard.dead_letters.selection import page
from taskyard.errors import DeadLetterNotFound
from taskyard.store import JobStore
from taskyard.store.dead_letters import DeadGroup, DeadLetter, DeadLetterFilter
from taskyard.store.finding import Cursor

#: Dead letters, or groups, that are read at a time.
PAGE = 200
_LIMIT = click.option(
    "--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20."
)


def _task(letter: Mapping[str, Any]) -> str:
    return str(letter["task"]) if letter["job_id"] else f"{letter['task'] or '-'} (never a job)"


def _error(letter: Mapping[str, Any]) -> str:
    return f"{letter['error']['type']}: {first_line(letter['error']['message'])}"


def _cut(letter: Mapping[str, Any]) -> str:
    kept, whole = letter["kept_bytes"], letter["body_bytes"]
    return "" if kept == whole else f"{kept} of {whole} bytes"


_LETTERS = (
    Column("ID", itemgetter("id")),
    Column("REASON", itemgetter("reason")),
    Column("TASK", _task, may_be_cut=True),
    Column("QUEUE", itemgetter("queue"), may_be_cut=True),
    Column("ATTEMPTS", itemgetter("attempts"), kind="number", is_optional=True),
    Column("FAILED", itemgetter("failed_at"), kind="time"),
    Column("KEPT", _cut, is_optional=True),
    Column("ERROR", _error, may_be_cut=True),
)
_GROUPS = (
    Column("GROUP", itemgetter("fingerprint")),
    Column("COUNT", itemgetter("count"), kind="number"),
    Column("REASON", lambda group: group["example"]["reason"]),
    Column("TASK", lambda group: group["example"]["task"], may_be_cut=True),
    Column("FIRST", itemgetter("first_seen"), kind="time"),
    Column("LAST", itemgetter("last_seen"), kind="time"),
    Column("ERROR", lambda group: _error(group["example"]), may_be_cut=True),
)


def _letter_card(letter: LetterDocument) -> Iterable[str]:
    preview = letter["preview"]
    yield from card(
        ("id", letter["id"]),
        ("reason", letter["reason"]),
        ("task", _task(letter)),
        ("queue", letter["queue"]),
        ("attempts", letter["attempts"]),
        ("first failed", letter["first_failed_at"]),
        ("failed", letter["failed_at"]),
        ("worker", letter["worker"]),
        ("group", letter["fingerprint"]),
        ("error", f"{letter['error']['type']}: {letter['error']['message']}"),
        ("kept", _cut(letter)),
        ("body", preview and preview["content"]),
    )
    if letter["job_id"]:
        yield f"next: taskyard status {letter['id']}, taskyard dead-letters replay {letter['id']}"


@click.group("dead-letters")
def dead_letters() -> None:
    """Look after dead letters."""


for _command in (purge, replay, replays, stop_replay):
    dead_letters.add_command(_command)


@dead_letters.command("list")
@letter_filter
@_LIMIT
@OUTPUT
def list_letters(limit: int, output: Output, **fields: Any) -> None:
    """List dead letters, the newest first."""
    store = Client(load()).store
    catalogue = Catalogue(store)
    letters = islice(_letters(store, wanted_letters(fields), limit), limit)
    say_list(
        (letter_document(each, catalogue) for each in letters),
        _LETTERS,
        output=output,
        empty="No dead letter fits.",
    )


@dead_letters.command()
@_LIMIT
@OUTPUT
def groups(limit: int, output: Output) -> None:
    """List dead letters grouped by failure, the latest first."""
    store = Client(load()).store
    catalogue = Catalogue(store)
    say_list(
        (group_document(each, catalogue) for each in islice(_groups(store, limit), limit)),
        _GROUPS,
        output=output,
        empty="There is no dead letter.",
    )


@dead_letters.command()
@click.argument("letter_id", metavar="ID")
@OUTPUT
def show(letter_id: str, output: Output) -> None:
    """Show a dead letter."""
    store = Client(load()).store
    (letter,) = store.dead_letters([letter_id])
    if letter is None:
        raise DeadLetterNotFound(letter_id)
    say_one(letter_document(letter, Catalogue(store)), _letter_card, output=output)


def _letters(store: JobStore, wanted: DeadLetterFilter, limit: int) -> Iterator[DeadLetter]:
    cursor: Cursor | None = None
    while True:
        found, cursor = page(store, wanted, min(limit, PAGE), cursor)
        letters = store.dead_letters([each for each, _ in found])
        yield from (letter for letter in letters if letter is not None)
        if cursor is None:
            return


def _groups(store: JobStore, limit: int) -> Iterator[DeadGroup]:
    cursor: Cursor | None = None
    while True:
        found, cursor = store.dead_groups(min(limit, PAGE), cursor)
        yield from found
        if cursor is None:
            return
