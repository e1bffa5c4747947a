"""The jobs of a schedule: whether they would be accepted, and the one of a fire time."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from taskyard.catalogue import Catalogue
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.job_creation import new_job
from taskyard.schedules.rule import JOB_FIELDS, Schedule, parse
from taskyard.store.jobs import NewJob, Reach


def checked(catalogue: Catalogue, data: Mapping[str, Any]) -> Schedule:
    """Return the schedule in `data`, if its jobs would be accepted now.

    Args:
        catalogue: The tasks that its arguments are checked against.
        data: Its fields.

    Raises:
        InvalidSubmission: With everything that is wrong: of the schedule, and of its jobs.
    """
    faults: list[Fault] = []
    schedule: Schedule | None = None
    try:
        schedule = parse(data)
    except InvalidSubmission as error:
        faults += error.faults
    try:
        catalogue.check({name: data[name] for name in JOB_FIELDS if name in data})
    except InvalidSubmission as error:
        pointers = {fault.pointer for fault in faults}
        faults += [fault for fault in error.faults if fault.pointer not in pointers]
    if faults or schedule is None:
        raise InvalidSubmission(faults)
    return schedule


def job_of(
    schedule: Schedule,
    catalogue: Catalogue,
    *,
    payload_max_bytes: int,
    job_id: str | None,
    reach: Reach | None = None,
    traceparent: str | None = None,
) -> NewJob:
    """Return a job of this schedule, which finds and replaces only what is within `reach`.

    Raises:
        InvalidSubmission: If no worker knows its task any more, or not with these arguments.
    """
    request, defaults = catalogue.check(schedule.job_fields())
    job = new_job(
        request.model_copy(update={"id": job_id}),  # only here may it be that of a fire time
        defaults,
        origin="schedule",
        payload_max_bytes=payload_max_bytes,
        traceparent=traceparent,
    )
    return replace(job, reach=reach)
