"""The `taskyard schedules` commands: look after schedules from a shell."""

import json
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli.actor import actor
from taskyard.cli.commands.schedule_changes import create, delete, named, preview, update
from taskyard.cli.output import OUTPUT, Output, card, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.words import in_words
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations import schedules as operations
from taskyard.schedules.record import document, event_document
from taskyard.schedules.repository import ScheduleRepository

SHOWN_EVENTS = 10
#: Fields of a schedule's document that its card shows in a way of their own, or not.
_HEAD = ("name", "is_paused", "task", "cron", "every_s", "timezone", "history", "links")


@click.group()
def schedules() -> None:
    """Look after schedules."""


for _command in (create, update, delete, preview):
    schedules.add_command(_command)


def _rule(schedule: Mapping[str, Any]) -> str:
    if schedule["cron"]:
        return f"{schedule['cron']} ({schedule['timezone']})"
    return f"every {schedule['every_s']:g} s"


def _state(schedule: Mapping[str, Any]) -> str:
    return "paused" if schedule["is_paused"] else "active"


_COLUMNS = (
    Column("SCHEDULE", itemgetter("name")),
    Column("STATE", _state, kind="state"),
    Column("TASK", itemgetter("task"), may_be_cut=True),
    Column("RULE", _rule),
    Column("NEXT", itemgetter("next_fire_at"), kind="time"),
    Column("LAST", itemgetter("last_fire_at"), kind="time", is_optional=True),
    Column("LAST JOB", itemgetter("last_job_id"), is_optional=True, may_be_cut=True),
)


@schedules.command(name="list")
@OUTPUT
def list_all(output: Output) -> None:
    """List the schedules with their next fire times."""
    client = Client(load())
    catalogue = Catalogue(client.store)
    say_list(
        (catalogue.shown(document(row)) for row in _schedules(client).all()),
        _COLUMNS,
        output=output,
        empty="There is no schedule.",
    )


@schedules.command()
@click.argument("name")
@OUTPUT
def show(name: str, output: Output) -> None:
    """Show a schedule and what became of its last fire times."""
    client = Client(load())
    found = _schedules(client)
    with named(actor(client)):
        row = found.get(name)
    events = found.history(name, SHOWN_EVENTS)
    shown = Catalogue(client.store).shown(document(row))
    history = [event_document(event) for event in events]
    say_one({**shown, "history": history}, _card, output=output)


@schedules.command()
@click.argument("name")
@OUTPUT
def pause(name: str, output: Output) -> None:
    """Pause a schedule."""
    _set_paused(name, True, output)


@schedules.command()
@click.argument("name")
@OUTPUT
def resume(name: str, output: Output) -> None:
    """Resume a schedule; what passed meanwhile is left out."""
    _set_paused(name, False, output)


@schedules.command()
@click.argument("name")
@OUTPUT
def trigger(name: str, output: Output) -> None:
    """Run a schedule's task now; print the job's id."""
    client = Client(load())
    by = actor(client)
    try:
        with named(by), in_words():
            job_id = operations.trigger(by, name, client.dispatcher.submit).created.id
    finally:
        client.close()
    say_one({"id": job_id}, lambda _: [job_id], output=output)


def _set_paused(name: str, is_paused: bool, output: Output) -> None:
    client = Client(load())
    by = actor(client)
    with named(by):
        row = operations.set_paused(by, name, is_paused)
    shown = Catalogue(client.store).shown(document(row))
    say_one(shown, _line, output=output)


def _schedules(client: Client) -> ScheduleRepository:
    return ScheduleRepository(client.store)


def _line(shown: dict[str, Any]) -> list[str]:
    state = "paused" if shown["is_paused"] else f"next {shown['next_fire_at']}"
    return [f"{shown['name']}  {state}"]


def _card(shown: dict[str, Any]) -> Iterator[str]:
    """Return lines with the fields of a schedule, but for those that say nothing, and its history."""
    rest = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in shown.items()
        if name not in _HEAD and value not in (None, [], {}, "", False)
    }
    yield from card(
        ("name", shown["name"]),
        ("state", _state(shown)),
        ("task", shown["task"]),
        ("rule", _rule(shown)),
        *rest.items(),
    )
    for event in shown["history"]:
        reason = f"  {event['reason']}" if event["reason"] else ""
        yield f"{event['fire_at']}  {event['outcome']:<9}  {event['job_id'] or '-'}{reason}"
