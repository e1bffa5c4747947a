"""What an operator does to jobs that wait: change one, or have it run now."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from taskyard import message as wire
from taskyard.errors import InvalidSubmission, JobNotFound, TooLate
from taskyard.faults import Fault
from taskyard.job import WAITING, Job
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import ActionName
from taskyard.operations.facts import difference, job_facts
from taskyard.request import Seconds, Time, Whole, conflicts, validated
from taskyard.store.jobs import Change


class ChangeRequest(BaseModel):
    """What is to be different; what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run_at: Time | None = Field(
        default=None, description="Run at this time (RFC 3339); at once if it has passed."
    )
    delay_s: Annotated[Seconds, Field(ge=0)] | None = Field(
        default=None, description="Run this many seconds from now; not together with run_at."
    )
    priority: Annotated[int, Field(ge=0, le=wire.MAX_PRIORITY), Whole] | None = Field(
        default=None, description="Higher first."
    )
    args: list[Any] | None = Field(default=None, description="All positional arguments.")
    kwargs: dict[str, Any] | None = Field(default=None, description="All keyword arguments.")


def change(actor: Actor, job_id: str, data: Mapping[str, Any]) -> Job:
    """Change a job that waits, and return it as it is then.

    A secret argument that is given as it is shown stays as it is.

    Args:
        actor: Who does it.
        job_id: Which one.
        data: The fields of a `ChangeRequest`.

    Raises:
        InvalidSubmission: With everything that is wrong with `data`, or with the arguments for its task.
        JobNotFound: If there is no record of it.
        TooLate: If it does not wait.
    """
    request = _checked(data)
    job = _waiting(actor, job_id)
    request = _with_secrets(actor, job, request)
    _check_arguments(actor, job, request)
    new = Change(
        run_at_ms=None if request.run_at is None else round(request.run_at.timestamp() * 1000),
        delay_ms=None if request.delay_s is None else round(request.delay_s * 1000),
        priority=request.priority,
        args=request.args,
        kwargs=request.kwargs,
    )
    return _changed(actor, "job.change", job_id, new)


def run_now(actor: Actor, job_id: str) -> Job:
    """Make a job that waits due at once, and return it as it is then.

    Raises:
        JobNotFound: If there is no record of it.
        TooLate: If it does not wait.
    """
    return _changed(actor, "job.run_now", job_id, Change(delay_ms=0))


def _checked(data: Mapping[str, Any]) -> ChangeRequest:
    request = validated(ChangeRequest, data, conflicts(data))
    if not request.model_dump(exclude_none=True):
        names = ", ".join(ChangeRequest.model_fields)
        text = f"nothing to change; give any of {names}"
        raise InvalidSubmission([Fault("", "empty", text)])
    return request


def _waiting(actor: Actor, job_id: str) -> Job:
    (job,) = actor.read([job_id])
    if job is None:
        raise JobNotFound(job_id)
    if job.state not in WAITING:
        raise TooLate(job_id, job.state)
    return job


def _with_secrets(actor: Actor, job: Job, request: ChangeRequest) -> ChangeRequest:
    """Return the request with the job's own values of secrets that were sent back as they were shown."""
    message = job.message
    new = (request.args or [], request.kwargs or {})
    args, kwargs = actor.catalogue.restored(message.task, new, (message.args, message.kwargs))
    return request.model_copy(
        update={
            "args": None if request.args is None else args,
            "kwargs": None if request.kwargs is None else kwargs,
        }
    )


def _check_arguments(actor: Actor, job: Job, request: ChangeRequest) -> None:
    """Check new arguments, with those that stay, against the task's signature and the limit of size."""
    if request.args is None and request.kwargs is None:
        return
    message, max_bytes = job.message, actor.settings.payload_max_bytes
    args = message.args if request.args is None else request.args
    kwargs = message.kwargs if request.kwargs is None else request.kwargs
    actor.catalogue.check_arguments(message.task, args, kwargs)
    size = len(wire.revise(wire.encode(message), args=args, kwargs=kwargs).encode())
    if size > max_bytes:
        text = f"the job takes {size} bytes, more than the {max_bytes} of PAYLOAD_MAX_BYTES"
        raise InvalidSubmission([Fault("", "too_large", text)])


def _changed(actor: Actor, action: ActionName, job_id: str, change: Change) -> Job:
    (old,) = actor.read([job_id])
    with actor.recording(action, job_id) as entry:
        answer = actor.store.change(job_id, change)
        if answer.verdict == "too_late":
            raise TooLate(job_id, answer.state)
        (job,) = actor.read([job_id])
        if job is None or answer.verdict == "unknown":
            raise JobNotFound(job_id)
        entry.before, after = difference(job_facts(old) or {}, job_facts(job) or {})
        arguments = [name for name in ("args", "kwargs") if getattr(change, name) is not None]
        entry.after = {**after, "changed": arguments} if arguments else after
    return job
