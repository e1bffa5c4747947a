"""`taskyard log`: the audit log from a shell, and what other commands call to be in it."""

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from taskyard.audit_log import ActionName, AuditLog, Entry, document
from taskyard.cli.output import say, say_json
from taskyard.client import Client
from taskyard.config import Settings, load
from taskyard.job import rfc3339
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


@click.command("log")
@click.option("--who", default="", help="Done by this one.")
@click.option("--action", default="", help="This was done, such as queue.pause; or queue for all.")
@click.option("--target", default="", help="To this name or id.")
@click.option("--after", type=click.DateTime(), help="At this time (UTC) or later.")
@click.option("--before", type=click.DateTime(), help="At this time (UTC) or before.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def log(
    after: datetime | None, before: datetime | None, limit: int, as_json: bool, **fields: Any
) -> None:
    """List what operators did, the newest first."""
    bounds = {"after_ms": _milliseconds(after), "before_ms": _milliseconds(before)}
    fields |= {name: at for name, at in bounds.items() if at is not None}
    wanted = ActionFilter(**fields)
    for entry in islice(_entries(Client(load()).store, wanted), limit):
        if as_json:
            say_json(document(entry))
        else:
            say(_line(entry))


def _entries(store: JobStore, wanted: ActionFilter) -> Iterator[LoggedAction]:
    cursor = None
    while True:
        page, cursor = store.find_actions(wanted, PAGE, cursor)
        yield from page
        if cursor is None:
            return


def _line(entry: LoggedAction) -> str:
    action = entry.action
    outcome = "" if action.outcome == "done" else f"  outcome={action.outcome}"
    facts = f"{_facts('before', action.before)}{_facts('after', action.after)}"
    return (
        f"{rfc3339(entry.at_ms)}  {action.who}  {action.action}  {action.target or '-'}"
        f"{outcome}{facts}"
    )


def _facts(name: str, facts: dict[str, Any] | None) -> str:
    return f"  {name}={json.dumps(facts, ensure_ascii=False)}" if facts else ""


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1000)
