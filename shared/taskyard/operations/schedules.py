"""What an operator does to schedules: add, change, pause, remove them, and note that one was triggered."""

import contextlib
from collections.abc import Mapping
from typing import Any

from taskyard.catalogue import Catalogue
from taskyard.errors import ScheduleNotFound, Unavailable
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import (
    ActionName,
    changed_arguments,
    difference,
    schedule_facts,
)
from taskyard.schedules.plan import FireEvent
from taskyard.schedules.record import KnownSchedule
from taskyard.schedules.repository import Accepts, Schedules
from taskyard.schedules.rule import Schedule
from taskyard.store.jobs import Reach


def found(schedules: Schedules, name: str) -> KnownSchedule | None:
    """Return the schedule of this name, or None."""
    try:
        return schedules.get(name)
    except ScheduleNotFound:
        return None


def with_secrets(
    catalogue: Catalogue, old: KnownSchedule | None, data: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a schedule with the values of secrets that were sent back as they were shown."""
    args, kwargs = data.get("args", []), data.get("kwargs", {})
    is_plain = isinstance(args, list) and isinstance(kwargs, dict)
    if old is None or data.get("task") != old.schedule.task or not is_plain:
        return dict(data)
    kept = (old.schedule.args, old.schedule.kwargs)
    args, kwargs = catalogue.restored(old.schedule.task, (args, kwargs), kept)
    return {**data, "args": args, "kwargs": kwargs}


def create(actor: Actor, schedule: Schedule, *, reach: Reach | None = None) -> KnownSchedule:
    """Add a schedule that was checked.

    Raises:
        ScheduleExists: If there is one of this name.
    """
    with actor.recording("schedule.create", schedule.name) as entry:
        row = actor.schedules.create(schedule, reach=reach)
        entry.after = schedule_facts(row)
    return row


def put(
    actor: Actor,
    schedule: Schedule,
    old: KnownSchedule | None,
    *,
    accepts: Accepts | None = None,
    reach: Reach | None = None,
) -> KnownSchedule:
    """Replace a schedule as a whole, or add it; `old` is what was there when it was read.

    Raises:
        VersionMismatch: If `accepts` does not accept the version that is there.
        ScheduleDeclared: If it is declared in a file.
    """
    name = schedule.name
    with actor.recording("schedule.change" if old else "schedule.create", name) as entry:
        row = actor.schedules.put(schedule, accepts=accepts, reach=reach)
        before, after = difference(schedule_facts(old) or {}, schedule_facts(row) or {})
        arguments = changed_arguments(old, row)
        entry.before = before if old else None
        entry.after = {**after, "changed": arguments} if arguments else after
    return row


def delete(
    actor: Actor, name: str, old: KnownSchedule | None, *, accepts: Accepts | None = None
) -> None:
    """Remove a schedule and its history; `old` is what was there when it was read.

    Raises:
        ScheduleNotFound: If there is none of this name.
        ScheduleDeclared: If it is declared in a file.
        VersionMismatch: If `accepts` does not accept the version that is there.
    """
    with actor.recording("schedule.delete", name, before=schedule_facts(old)):
        actor.schedules.remove(name, accepts=accepts)


def set_paused(actor: Actor, name: str, is_paused: bool) -> KnownSchedule:
    """Pause or resume a schedule.

    Raises:
        ScheduleNotFound: If there is none of this name.
    """
    action: ActionName = "schedule.pause" if is_paused else "schedule.resume"
    old = actor.schedules.get(name)
    before = {"is_paused": old.state.is_paused}
    with actor.recording(action, name, before=before) as entry:
        row = actor.schedules.set_paused(name, is_paused)
        entry.after = {"is_paused": is_paused}
        if row.version == old.version:
            entry.void()
    return row


def note_triggered(actor: Actor, name: str, job_id: str) -> None:
    """Write into a schedule's history that it was run by hand, where that can be written down.

    The job is made: that nobody could note it is no reason to have it asked for again.
    """
    with contextlib.suppress(Unavailable, ScheduleNotFound):
        at = actor.store.now_ms()
        event = FireEvent(fire_at=at, at=at, outcome="triggered", job_id=job_id)
        actor.schedules.tell(name, event)
