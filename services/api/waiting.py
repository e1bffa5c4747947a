"""The routes of waiting jobs: change one, or run it now."""

from http import HTTPStatus
from typing import Annotated, Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from services.api import inputs, openapi
from services.api.parts import parts
from services.api.recording import recording
from services.api.replies import reply
from taskyard import message as wire
from taskyard.audit_log import ActionName, difference, job_facts
from taskyard.errors import Fault, InvalidSubmission, JobNotFound, TooLate
from taskyard.job import WAITING, Job
from taskyard.request import Seconds, Time, Whole, conflicts, validated
from taskyard.store.waiting import Change

blueprint = APIBlueprint("waiting", __name__)


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


SCHEMAS = {"ChangeRequest": ChangeRequest.model_json_schema()}
INPUTS = {("patch", "/v1/jobs/{job_id}"): openapi.Input("ChangeRequest")}
_CHANGED = openapi.answers(
    {200: openapi.answer("The job as it is now.", "Job")}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
)
_RUN_NOW = openapi.answers(
    {200: openapi.answer("The job is due.", "Job")}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
)


@blueprint.patch("/v1/jobs/<job_id>")
@blueprint.doc(tags=["Jobs"], responses=_CHANGED)
def change(job_id: str) -> Response:
    """Change a job that waits: its time, priority or arguments.

    Only while it is scheduled or retrying; later the answer is `too_late`. What is changed holds for
    its next attempt, and all after it. A secret argument that is sent back as `***` stays as it is.
    """
    max_bytes = parts().settings.payload_max_bytes
    asked = _asked(max_bytes)
    job = _waiting(job_id)
    asked = _with_secrets(job, asked)
    _check_arguments(job, asked, max_bytes)
    return _changed(
        "job.change",
        job_id,
        Change(
            run_at_ms=None if asked.run_at is None else round(asked.run_at.timestamp() * 1000),
            delay_ms=None if asked.delay_s is None else round(asked.delay_s * 1000),
            priority=asked.priority,
            args=asked.args,
            kwargs=asked.kwargs,
        ),
    )


@blueprint.post("/v1/jobs/<job_id>/run-now")
@blueprint.doc(tags=["Jobs"], responses=_RUN_NOW)
def run_now(job_id: str) -> Response:
    """Make a waiting job due at once, as if its time had come.

    One that a limit or a pause holds back goes on waiting for it.
    """
    return _changed("job.run_now", job_id, Change(delay_ms=0))


def _asked(max_bytes: int) -> ChangeRequest:
    data = inputs.json_object(max_bytes)
    asked = validated(ChangeRequest, data, conflicts(data))
    if not asked.model_dump(exclude_none=True):
        names = ", ".join(ChangeRequest.model_fields)
        text = f"nothing to change; give any of {names}"
        raise InvalidSubmission([Fault("", "empty", text)])
    return asked


def _waiting(job_id: str) -> Job:
    (job,) = parts().read([job_id])
    if job is None:
        raise JobNotFound(job_id)
    if job.state not in WAITING:
        raise TooLate(job_id, job.state)
    return job


def _with_secrets(job: Job, asked: ChangeRequest) -> ChangeRequest:
    """Return the request with the job's own values of secrets that were sent back as they were shown."""
    message = job.message
    new = (asked.args or [], asked.kwargs or {})
    args, kwargs = parts().catalogue.restored(
        message.actor_name, new, (message.args, message.kwargs)
    )
    return asked.model_copy(
        update={
            "args": None if asked.args is None else args,
            "kwargs": None if asked.kwargs is None else kwargs,
        }
    )


def _check_arguments(job: Job, asked: ChangeRequest, max_bytes: int) -> None:
    """Check new arguments, with those that stay, against the task's signature and the limit of size."""
    if asked.args is None and asked.kwargs is None:
        return
    message = job.message
    args = message.args if asked.args is None else asked.args
    kwargs = message.kwargs if asked.kwargs is None else asked.kwargs
    parts().catalogue.check_arguments(message.actor_name, args, kwargs)
    size = len(wire.revise(wire.encode(message), args=args, kwargs=kwargs).encode())
    if size > max_bytes:
        text = f"the job takes {size} bytes, more than the {max_bytes} of PAYLOAD_MAX_BYTES"
        raise InvalidSubmission([Fault("", "too_large", text)])


def _changed(action: ActionName, job_id: str, change: Change) -> Response:
    (old,) = parts().read([job_id])
    with recording(action, job_id) as entry:
        answer = parts().store.change(job_id, change)
        if answer.verdict == "too_late":
            raise TooLate(job_id, answer.state)
        (job,) = parts().read([job_id])
        if job is None or answer.verdict == "unknown":
            raise JobNotFound(job_id)
        entry.before, after = difference(job_facts(old) or {}, job_facts(job) or {})
        arguments = [name for name in ("args", "kwargs") if getattr(change, name) is not None]
        entry.after = {**after, "changed": arguments} if arguments else after
    return reply(parts().catalogue.document(job))
