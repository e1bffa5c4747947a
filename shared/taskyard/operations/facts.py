"""What entries of the audit log say of jobs, schedules and requests: never an argument, nor a secret."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from taskyard.job import Job, rfc3339
from taskyard.store.dead_letters import DeadLetterFilter
from taskyard.store.finding import Filter

if TYPE_CHECKING:  # it brings pydantic along
    from taskyard.schedules.record import ScheduleRecord

#: Of a list of ids so many are in an entry.
MAX_IDS = 20
#: Fields of a schedule whose values are arguments.
_ARGUMENTS = ("args", "kwargs")
_NONE = object()


def job_facts(job: Job | None) -> dict[str, Any] | None:
    """Return what an entry says of a job."""
    if job is None:
        return None
    return {
        "state": job.state.value,
        "task": job.message.task,
        "queue": job.queue,
        "priority": job.message.priority,
        "run_at": rfc3339(job.run_at),
    }


def schedule_facts(row: "ScheduleRecord | None") -> dict[str, Any] | None:
    """Return what an entry says of a schedule."""
    if row is None:
        return None
    fields = row.schedule.model_dump(mode="json", exclude={"name", *_ARGUMENTS}, exclude_none=True)
    return {**fields, "is_paused": row.state.is_paused, "version": row.version}


def changed_arguments(old: "ScheduleRecord | None", new: "ScheduleRecord") -> list[str]:
    """Return which of a schedule's arguments are not what they were, by name only."""
    if old is None:
        return []
    names = _ARGUMENTS
    return [name for name in names if getattr(old.schedule, name) != getattr(new.schedule, name)]


def filter_facts(wanted: Filter) -> dict[str, Any]:
    """Return what an entry says of which jobs are meant, by the names of REST's fields."""
    fields = {name: value for name, value in asdict(wanted).items() if value}
    if states := fields.pop("states", None):
        fields["state"] = list(states)
    for bound in ("tasks", "queues"):  # of the key, and not of the request
        fields.pop(bound, None)
    return {"filter": _with_times(fields)}


def letter_facts(ids: Sequence[str] | None, wanted: DeadLetterFilter) -> dict[str, Any]:
    """Return what an entry says of which dead letters are meant: those of `ids`, or all that fit."""
    if ids:
        return some_ids(list(ids))
    default = asdict(DeadLetterFilter())
    fields = {name: value for name, value in asdict(wanted).items() if value != default[name]}
    fields.pop("jobs_only", None)
    return {"filter": _with_times(fields)}


def _with_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields with what is in milliseconds since 1970 as times."""
    return {
        name.removesuffix("_ms"): rfc3339(value) if name.endswith("_ms") else value
        for name, value in fields.items()
    }


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both with only those fields in which they differ."""
    names = [
        name for name in {**before, **after} if before.get(name, _NONE) != after.get(name, _NONE)
    ]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def some_ids(ids: list[str]) -> dict[str, Any]:
    """Return how many ids there are, and the first of them."""
    return {"ids": ids[:MAX_IDS], "count": len(ids)}
