"""`taskyard log`: the audit log from a shell, and what other commands call to be in it."""

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any

import click

from taskyard.audit_log import ActionName, AuditLog, Entry, document
from taskyard.cli.output import OUTPUT, Output, say_list
from taskyard.cli.table import Column
from taskyard.client import Client
from taskyard.config import Settings, load
from taskyard.store.audit_log import ActionFilter, LoggedAction
from taskyard.store.base import JobStore

#: Entries that are read at a time.
PAGE = 200


def recording(
    store: JobStore,
    settings: Settings,
    action: ActionName,
    target: str = "",
    *,
    before: Mapping[str, Any] | None = None,
) -> AbstractContextManager[Entry]:
    """Have what is done within written down as this user's; see `AuditLog.recording`."""
    log = AuditLog(
        store,
        origin="cli",
        max_entries=settings.audit_log_max,
        ttl_s=settings.audit_log_ttl,
    )
    return log.recording(action, target, who=who(), before=before)


def who() -> str:
    """Return who runs this command, as the audit log names it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    return f"cli:{user}@{socket.gethostname()}"


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
@click.option("--after", type=click.DateTime(), help="At this time (UTC) or later.")
@click.option("--before", type=click.DateTime(), help="At this time (UTC) or before.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20.")
@OUTPUT
def log(
    after: datetime | None, before: datetime | None, limit: int, output: Output, **fields: Any
) -> None:
    """List what operators did, the newest first."""
    bounds = {"after_ms": _milliseconds(after), "before_ms": _milliseconds(before)}
    fields |= {name: at for name, at in bounds.items() if at is not None}
    wanted = ActionFilter(**fields)
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


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1000)
