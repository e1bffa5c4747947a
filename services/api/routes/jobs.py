"""The routes of jobs: submit one, look at it, wait for it, cancel it."""

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.context import context
from services.api.http import bodies, idempotency, prefer, submitted
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import SECONDS, TEXT
from taskyard.errors import JobNotFound, TaskyardError
from taskyard.job import Job
from taskyard.job_creation import Defaults, new_job
from taskyard.message import decode
from taskyard.operations import jobs as operations
from taskyard.request import JobRequest
from taskyard.store.jobs import Created, NewJob
from taskyard.telemetry import metrics
from taskyard.telemetry.tracing import Publishing

blueprint = APIBlueprint("jobs", __name__)

_SUBMITTED = describe.answers(
    {
        202: describe.answer(
            "The job is recorded.", "Job", "Location", idempotency.REPLAYED, "Preference-Applied"
        ),
        200: describe.answer(
            "A job of this id, or a unique one like it, was there; or it has ended within the wait.",
            "JobOrState",
            "Location",
            idempotency.REPLAYED,
            "Preference-Applied",
        ),
    },
    HTTPStatus.CONFLICT,
)
_SHOWN = describe.answers(
    {200: describe.answer("The job.", "Job", "Preference-Applied")}, HTTPStatus.NOT_FOUND
)
_CANCELLED = describe.answers(
    {
        200: describe.answer("The job is cancelled.", "Job"),
        202: describe.answer("The job runs, and was asked to stop.", "Job"),
    },
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
)

_TRACEPARENT = describe.parameter(
    "traceparent",
    TEXT,
    "The caller's trace context (W3C), handed on to the worker.",
    place="header",
)
_WAIT = describe.parameter(
    "wait_s",
    {**SECONDS, "default": 0},
    "Answer when the job has ended, but after so many seconds at the latest.",
    example=5,
)
_SUBMIT = (_TRACEPARENT, idempotency.PARAMETER, prefer.PARAMETER)
INPUTS = {
    ("post", "/v1/jobs"): describe.Input("JobRequest", _SUBMIT),
    ("post", "/add-task"): describe.Input("JobRequest", _SUBMIT),
    ("get", "/v1/jobs/{job_id}"): describe.Input(parameters=(_WAIT, prefer.PARAMETER)),
    ("get", "/task-status/{job_id}"): describe.Input(parameters=(_WAIT, prefer.PARAMETER)),
}


@blueprint.post("/v1/jobs", endpoint="submit")
@blueprint.post("/add-task", endpoint="add_task")
@blueprint.doc(tags=["Jobs"], responses=_SUBMITTED)
def submit() -> Response:
    """Submit a job.

    The answer is a promise: the job is recorded and, if it is ready to run, RabbitMQ has confirmed
    its message. Send an `id` to be able to repeat a request whose answer was lost: the same id is
    the same job.
    """
    try:
        data = bodies.json_object(context().settings.payload_max_bytes)
        bindings.check_submission(data)
        request, defaults = context().catalogue.check(data)
        keyed = idempotency.KeyedRequest("job", data)
        if keyed.answer is not None:
            return _replayed(keyed.answer)
        with Publishing("", request.task, parent=bodies.traceparent()) as publishing:
            named = request.model_copy(update={"id": request.id or keyed.base_id})
            job = _job(named, defaults, publishing.traceparent)
            created = context().wait_slots.dispatch(job)
            publishing.made(created.id, job.queue, is_new=created.is_new)
    except TaskyardError as error:
        metrics.SUBMISSIONS_REFUSED.labels(error.code).inc()
        raise
    if created.is_new:
        metrics.JOBS_SUBMITTED.labels(job.queue, job.task, "api").inc()
    submitted.log_job(job, created, publishing.traceparent)
    # A request that was repeated before its answer was written down made the same job.
    is_replayed = keyed.is_repeated and not created.is_new
    # Or, where both came at once, before the one that had reserved the key.
    is_theirs = created.is_new or created.id == keyed.base_id
    status = 202 if is_theirs else 200
    # A later job of this id is not the one that was made here, and shown.
    made_at_ms = created.created_at_ms if created.is_new else None
    keyed.conclude({"id": created.id, "status": status, "created_at_ms": made_at_ms})
    waited = prefer.Waited(created.id)
    found = waited.job or _recorded(job, created)
    return _answer(found, status, waited, is_replayed=is_replayed, is_theirs=is_theirs)


@blueprint.get("/v1/jobs/<job_id>", endpoint="show")
@blueprint.get("/task-status/<job_id>", endpoint="task_status")
@blueprint.doc(tags=["Jobs"], responses=_SHOWN)
def show(job_id: str) -> Response:
    """Return a job.

    With `wait_s` the answer comes when the job has ended, or after so many seconds with the job as
    it is then. Where too many requests wait already, it comes at once.
    """
    wait_s = bodies.wait_s(context().settings.wait_max_s)
    if not wait_s and prefer.wait_s():
        waited = prefer.Waited(job_id)
        return waited.mark(reply(context().catalogue.document(_found(waited.job, job_id))))
    return reply(
        context().catalogue.document(_found(context().wait_slots.job(job_id, wait_s), job_id))
    )


@blueprint.post("/v1/jobs/<job_id>/cancel")
@blueprint.doc(tags=["Jobs"], responses=_CANCELLED)
def cancel(job_id: str) -> Response:
    """Cancel a job.

    A job that does not run yet is cancelled at once. One that runs is asked to stop, which may take
    a moment.
    """
    answer = operations.cancel(actor(), job_id)
    (job,) = context().read([job_id])
    shown = context().catalogue.document(_found(job, job_id))
    return reply(shown, 202 if answer.verdict == "requested" else 200)


def _job(request: JobRequest, defaults: Defaults, traceparent: str | None) -> NewJob:
    return new_job(
        request,
        defaults,
        origin="api",
        payload_max_bytes=context().settings.payload_max_bytes,
        traceparent=traceparent,
    )


def _replayed(answer: dict[str, Any]) -> Response:
    """Answer as before, with the job as it is now, as far as who asks saw it then."""
    waited = prefer.Waited(answer["id"])
    job = waited.job or _found(context().read([answer["id"]])[0], answer["id"])
    is_theirs = answer["status"] == 202 and answer.get("created_at_ms") in (None, job.created_at)
    status = 202 if is_theirs else 200
    return _answer(job, status, waited, is_replayed=True, is_theirs=is_theirs)


def _answer(
    job: Job,
    status: int,
    waited: prefer.Waited,
    *,
    is_replayed: bool,
    is_theirs: bool,
) -> Response:
    headers = {"Location": f"/v1/jobs/{job.id}"}
    shown = submitted.shown(job, is_theirs=is_theirs)
    response = waited.mark(reply(shown, status, headers=headers))
    return idempotency.mark(response, is_replayed=is_replayed)


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise JobNotFound(job_id)
    return job


def _recorded(job: NewJob, created: Created) -> Job:
    """Return the job as it was recorded; only one that was there before has to be read."""
    if not created.is_new:
        (recorded,) = context().read([created.id])
        return _found(recorded, created.id)
    return Job(
        message=decode(job.body),
        queue=job.queue,
        state=created.state,
        attempt=0,
        created_at=created.created_at_ms,
        run_at=created.run_at_ms or None,
    )
