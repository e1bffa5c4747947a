"""`taskyard log`: the audit log from a shell."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

import click

from taskyard.cli.output import OUTPUT, Output, say_list
from taskyard.cli.table import Column
from taskyard.cli.times import PAST
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations.audit_log import document
from taskyard.store import JobStore
from taskyard.store.audit_log import ActionFilter, LoggedAction

#: Entries that are read at a time.
PAGE = 200


def _facts(name: str) -> Column:
    def value(entry: Mapping[str, Any]) -> str:
        return json.dumps(entry[name], ensure_ascii=False) if entry[name] else ""

    return Column(name.upper(), value, is_optional=True, may_be_cut=True)


_COLUMNS = (
    Column("AT", itemgetter("at"), kind="time"),
    Column("WHO", itemgetter("who")),
    Column("ACTION", itemgetter("action")),
    Column("TARGET", itemgetter("target")),
    Column("OUTCOME", itemgetter("outcome"), kind="state"),
    _facts("before"),
    _facts("after"),
)


@click.command("log")
@click.option("--who", default="", help="Done by this one.")
@click.option("--action", default="", help="This was done, such as queue.pause; or queue for all.")
@click.option("--target", default="", help="To this name or id.")
@click.option("--after", "after_ms", type=PAST, help="At this time or later.")
@click.option("--before", "before_ms", type=PAST, help="At this time or before.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20.")
@OUTPUT
def log(limit: int, output: Output, **fields: Any) -> None:
    """List what operators did, the newest first.

    Times are as they are printed, dates, or like 2h (ago); without a zone they are in UTC.
    """
    wanted = ActionFilter(**{name: value for name, value in fields.items() if value is not None})
    say_list(
        map(document, islice(_entries(Client(load()).store, wanted), limit)),
        _COLUMNS,
        output=output,
        empty="Nothing that fits was done.",
    )


def _entries(store: JobStore, wanted: ActionFilter) -> Iterator[LoggedAction]:
    cursor = None
    while True:
        page, cursor = store.find_actions(wanted, PAGE, cursor)
        yield from page
        if cursor is None:
            return
