"""The `taskyard keys` commands: make, list and revoke the API's keys."""

import re
import sys
from collections.abc import Callable, Sequence
from itertools import filterfalse
from operator import itemgetter
from typing import Any

import click

from taskyard.cli.actor import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import FAILED, NOT_FOUND, USAGE, fail
from taskyard.cli.output import OUTPUT, Output, say, say_answers, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.times import DURATION
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import rfc3339
from taskyard.keys import SCOPES, InvalidKey, new_key, new_token
from taskyard.operations import keys as operations
from taskyard.operations.actor import Actor
from taskyard.policy import limits
from taskyard.store.controls import Limits
from taskyard.store.keys import ApiKey


@click.group()
def keys() -> None:
    """Make, list and revoke keys of the API; it needs one of every caller as soon as there is one."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may do; repeat."
)
@click.option("--task", "tasks", multiple=True, help="Only this task; repeat. Default: all.")
@click.option("--queue", "queues", multiple=True, help="Only this queue; repeat. Default: all.")
@click.option("--rate", help="Requests within a time, such as 100/m. Default: any number.")
@click.option("--expires", type=DURATION, help="Valid for so long, such as 30d. Default: for ever.")
@OUTPUT
def create(name: str, expires: float | None, output: Output, **fields: Any) -> None:
    """Make a key called NAME and print it; it is shown only now."""
    if expires == 0:
        raise click.BadParameter("must be more than 0", param_hint="'--expires'")
    ttl_ms = None if expires is None else round(expires * 1000)
    token = new_token()
    try:
        key = new_key(token, name=name, **fields)
    except InvalidKey as error:
        fail(re.sub("(^|; )rate=", r"\1--rate ", str(error)), USAGE)
    client = Client(load())
    operations.create(actor(client), key, ttl_ms=ttl_ms)
    text = "keep it now, it is not shown again; requests carry it as 'Authorization: Bearer <key>'"
    say(text, err=True)
    ring = client.store.key_ring().keys
    if (
        until := next((each.expires_at_ms for each in ring if each.id == key.id), None)
    ) is not None:
        say(f"it is valid until {rfc3339(until)}", err=True)
    if len(ring) == 1:
        say("it is the first: from now on the API needs a key of every caller", err=True)
    say_one({"id": key.id, "name": name, "key": token}, lambda _: [token], output=output)


_COLUMNS = (
    Column("KEY", itemgetter("id")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("NAME", itemgetter("name"), may_be_cut=True),
    Column("SCOPES", lambda key: ",".join(key["scopes"]), may_be_cut=True),
    Column("TASKS", lambda key: ",".join(key["tasks"]), is_optional=True, may_be_cut=True),
    Column("QUEUES", lambda key: ",".join(key["queues"]), is_optional=True, may_be_cut=True),
    Column("RATE", itemgetter("rate"), kind="number", is_optional=True),
    Column("EXPIRES", itemgetter("expires_at"), kind="time", is_optional=True),
    Column("USED", itemgetter("last_used_at"), kind="time"),
)


@keys.command(name="list")
@OUTPUT
def list_all(output: Output) -> None:
    """List the keys, revoked and expired ones too; never the keys themselves."""
    ring = Client(load()).store.key_ring()
    say_list(
        [_document(key, ring.now_ms) for key in ring.keys],
        _COLUMNS,
        output=output,
        empty="There is no key: the API serves its own machine without one. "
        "`taskyard keys create` makes one.",
    )


@keys.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME_OR_ID...")
@YES
@OUTPUT
def revoke(names: Sequence[str], is_sure: bool, output: Output) -> None:
    """Refuse keys from now on; APIs know it within a second."""
    by, found, is_active = _chosen(names)
    touched = list(filter(is_active, found))
    confirm(f"{_list(touched)} will be refused for good", is_sure=is_sure or not touched)
    _each(by, found, operations.revoke, "revoked", "was revoked already", output=output)
    ring = by.store.key_ring()
    if not any(_state(key, ring.now_ms) == "active" for key in ring.keys):
        text = (
            "no key is left: the API refuses all requests until there is one, or all are forgotten"
        )
        say(text, err=True)


@keys.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME_OR_ID...")
@YES
@OUTPUT
def forget(names: Sequence[str], is_sure: bool, output: Output) -> None:
    """Remove keys that are revoked or expired from the list.

    When the last one is gone, an API on loopback serves without keys again.
    """
    by, found, is_active = _chosen(names)
    touched = list(filterfalse(is_active, found))
    what = f"{_list(touched)} will be removed from the list for good"
    confirm(what, is_sure=is_sure or not touched)
    _each(by, found, operations.forget, "forgotten", "is in use: revoke it first", output=output)


def _chosen(names: Sequence[str]) -> tuple[Actor, list[ApiKey], Callable[[ApiKey], bool]]:
    """Return who acts, the keys of these names or ids, each once, and what says which are active."""
    by = actor(Client(load()))
    ring = by.store.key_ring()
    found = {key.id: key for key in (_found(ring.keys, name) for name in names)}
    return by, list(found.values()), lambda key: _state(key, ring.now_ms) == "active"


def _list(found: Sequence[ApiKey]) -> str:
    """Return how many keys these are and which, for a question."""
    return f"{count_of(len(found), 'key')} ({', '.join(key.name for key in found)})"


def _each(
    by: Actor,
    found: Sequence[ApiKey],
    act: Callable[[Actor, ApiKey], bool],
    *words: str,
    output: Output,
) -> None:
    """Do something to each key, and say of each whether it was done."""
    answers = [
        {"id": key.id, "name": key.name, "verdict": words[0 if act(by, key) else 1]}
        for key in found
    ]
    say_answers(
        answers, lambda each: f"{each['id']} {each['name']} {each['verdict']}", output=output
    )
    if any(each["verdict"] != words[0] for each in answers):
        sys.exit(FAILED)


def _found(ring: Sequence[ApiKey], name: str) -> ApiKey:
    """Return the key of this id, or the last one of this name."""
    fitting = [key for key in ring if key.id == name] or [key for key in ring if key.name == name]
    if not fitting:
        fail(f"no key {name!r}; `taskyard keys list` shows them", NOT_FOUND)
    return fitting[-1]


def _document(key: ApiKey, now_ms: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key, now_ms),
        "scopes": list(key.scopes),
        "tasks": list(key.tasks),
        "queues": list(key.queues),
        "rate": limits.describe(Limits(starts=key.requests, per_ms=key.per_ms))["rate"],
        "created_at": rfc3339(key.created_at_ms),
        "expires_at": rfc3339(key.expires_at_ms),
        "revoked_at": rfc3339(key.revoked_at_ms),
        "last_used_at": rfc3339(key.last_used_at_ms),
    }


def _state(key: ApiKey, now_ms: int) -> str:
    if key.revoked_at_ms is not None:
        return "revoked"
    return "expired" if key.expires_at_ms is not None and key.expires_at_ms <= now_ms else "active"
