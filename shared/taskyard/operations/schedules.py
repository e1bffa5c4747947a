"""What an operator does to schedules: add, change, pause, remove and trigger them."""

import contextlib
from collections.abc import Mapping
from typing import Any

from taskyard.catalogue import Catalogue
from taskyard.errors import ScheduleNotFound, TaskyardError
from taskyard.operations.actor import Actor, Submit, Submitted
from taskyard.operations.audit_log import ActionName
from taskyard.operations.facts import changed_arguments, difference, schedule_facts
from taskyard.schedules import jobs
from taskyard.schedules.plan import FireEvent
from taskyard.schedules.record import ScheduleRecord
from taskyard.schedules.repository import Accepts, ScheduleRepository
from taskyard.schedules.rule import Schedule
from taskyard.store.jobs import Reach
from taskyard.telemetry.tracing import Publishing


def found(schedules: ScheduleRepository, name: str) -> ScheduleRecord | None:
    """Return the schedule of this name, or None."""
    try:
        return schedules.get(name)
    except ScheduleNotFound:
        return None


def checked(actor: Actor, data: Mapping[str, Any], old: ScheduleRecord | None = None) -> Schedule:
    """Return the schedule in `data`, if its jobs would be accepted now.

    Args:
        actor: Who wants it.
        data: Its fields.
        old: The schedule that it is to replace; secret arguments that are given as they are shown stay as
            they are there.

    Raises:
        InvalidSubmission: With everything that is wrong: of the schedule, and of its jobs.
    """
    return jobs.checked(actor.catalogue, _with_secrets(actor.catalogue, old, data))


def _with_secrets(
    catalogue: Catalogue, old: ScheduleRecord | None, data: Mapping[str, Any]
) -> dict[str, Any]:
    args, kwargs = data.get("args", []), data.get("kwargs", {})
    is_plain = isinstance(args, list) and isinstance(kwargs, dict)
    if old is None or data.get("task") != old.schedule.task or not is_plain:
        return dict(data)
    kept = (old.schedule.args, old.schedule.kwargs)
    args, kwargs = catalogue.restored(old.schedule.task, (args, kwargs), kept)
    return {**data, "args": args, "kwargs": kwargs}


def create(actor: Actor, schedule: Schedule, *, reach: Reach | None = None) -> ScheduleRecord:
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
    old: ScheduleRecord | None,
    *,
    accepts: Accepts | None = None,
    reach: Reach | None = None,
) -> ScheduleRecord:
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
    actor: Actor, name: str, old: ScheduleRecord | None, *, accepts: Accepts | None = None
) -> None:
    """Remove a schedule and its history; `old` is what was there when it was read.

    Raises:
        ScheduleNotFound: If there is none of this name.
        ScheduleDeclared: If it is declared in a file.
        VersionMismatch: If `accepts` does not accept the version that is there.
    """
    with actor.recording("schedule.delete", name, before=schedule_facts(old)):
        actor.schedules.remove(name, accepts=accepts)


def set_paused(actor: Actor, name: str, is_paused: bool) -> ScheduleRecord:
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


def trigger(actor: Actor, name: str, submit: Submit, *, parent: str | None = None) -> Submitted:
    """Run a schedule's task now, also while it is paused; its fire times stay as they are.

    Args:
        actor: Who does it.
        name: The schedule's name.
        submit: What records and publishes the job.
        parent: The caller's trace context.

    Raises:
        ScheduleNotFound: If there is none of this name.
        InvalidSubmission: If no worker knows its task any more, or not with these arguments.
        NotUnique: If a job like it lives, and the task's policy is to reject.
        Unavailable: If the store or RabbitMQ did not answer in time.
    """
    from taskyard.telemetry import metrics  # most commands on schedules measure nothing

    row = actor.schedules.get(name)
    with Publishing("", row.schedule.task, parent=parent) as publishing:
        job = jobs.job_of(
            row.schedule,
            actor.catalogue,
            payload_max_bytes=actor.settings.payload_max_bytes,
            job_id=None,
            reach=row.state.reach,
            traceparent=publishing.traceparent,
        )
        with actor.recording("schedule.trigger", name) as entry:
            created = submit(job)
            entry.after = {"job": created.id}
        publishing.made(created.id, job.queue, is_new=created.is_new)
    note_triggered(actor, name, created.id)
    if created.is_new:
        metrics.JOBS_SUBMITTED.labels(job.queue, job.task, "schedule").inc()
    metrics.SCHEDULE_FIRES.labels("triggered").inc()
    return Submitted(job, created, publishing.traceparent)


def note_triggered(actor: Actor, name: str, job_id: str) -> None:
    """Write into a schedule's history that it was triggered, if that can be done.

    The job is made by then: an error would only make the operator repeat it.
    """
    with contextlib.suppress(TaskyardError):
        at = actor.store.now_ms()
        event = FireEvent(fire_at=at, at=at, outcome="triggered", job_id=job_id)
        actor.schedules.add_event(name, event)
