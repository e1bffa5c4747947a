"""The `taskyard schedules` commands: look after schedules from a shell."""

from typing import Any

import click

from taskyard.audit_log import ActionName
from taskyard.catalogue import Catalogue
from taskyard.cli.log import recording
from taskyard.cli.output import say, say_json
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import rfc3339
from taskyard.schedules.known import KnownSchedule, document, event_document
from taskyard.schedules.plan import FireEvent
from taskyard.schedules.stored import Schedules

SHOWN_EVENTS = 10


@click.group()
def schedules() -> None:
    """Look after schedules."""


@schedules.command(name="list")
def list_all() -> None:
    """List the schedules with their next fire times."""
    for row in _schedules(Client(load())).all():
        rule = row.schedule.cron or f"every {row.schedule.every_s:g} s"
        shown = document(row)
        state = "paused" if row.state.is_paused else f"next {shown['next_fire_at']}"
        say(f"{row.name}  {row.schedule.task}  {rule}  {state}")


@schedules.command()
@click.argument("name")
def show(name: str) -> None:
    """Show a schedule and what became of its last fire times, as JSON."""
    client = Client(load())
    found = _schedules(client)
    row = found.get(name)
    events = found.history(name, SHOWN_EVENTS)
    shown = Catalogue(client.store).shown(document(row))
    _echo({**shown, "history": [event_document(event) for event in events]})


@schedules.command()
@click.argument("name")
def pause(name: str) -> None:
    """Pause a schedule."""
    _set_paused("schedule.pause", name, True)


@schedules.command()
@click.argument("name")
def resume(name: str) -> None:
    """Resume a schedule; what passed meanwhile is left out."""
    _set_paused("schedule.resume", name, False)


@schedules.command()
@click.argument("name")
def trigger(name: str) -> None:
    """Run a schedule's task now; print the job's id."""
    client = Client(load())
    found = _schedules(client)
    row = found.get(name)
    max_bytes = client.settings.payload_max_bytes
    job = found.job(row.schedule, max_bytes, job_id=None, reach=row.state.reach)
    with recording(client.store, client.settings, "schedule.trigger", name) as entry:
        job_id = client.dispatcher.submit(job).id
        entry.after = {"job": job_id}
    at = client.store.now_ms()
    found.tell(name, FireEvent(fire_at=at, at=at, outcome="triggered", job_id=job_id))
    client.close()
    say(job_id)


def _set_paused(action: ActionName, name: str, is_paused: bool) -> None:
    client = Client(load())
    old = _schedules(client).get(name)
    with recording(
        client.store, client.settings, action, name, before={"is_paused": old.state.is_paused}
    ) as entry:
        row = _schedules(client).set_paused(name, is_paused)
        entry.after = {"is_paused": is_paused}
        if row.version == old.version:
            entry.void()
    _tell(row)


def _schedules(client: Client) -> Schedules:
    return Schedules(client.store, Catalogue(client.store))


def _tell(row: KnownSchedule) -> None:
    state = "paused" if row.state.is_paused else f"next {rfc3339(row.state.next_at)}"
    say(f"{row.name}  {state}")


def _echo(value: dict[str, Any]) -> None:
    say_json(value, indent=2)
