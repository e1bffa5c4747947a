"""The route by which many jobs are submitted at once: all of them, or none."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from services.api.auth import bindings
from services.api.context import context
from services.api.http import bodies, idempotency, submitted
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import STATE, TEXT, ref
from taskyard.errors import InvalidSubmission, TaskyardError
from taskyard.faults import MAX_FAULTS, Fault, bounded, pointer_part
from taskyard.job_creation import Defaults, check_size, new_job
from taskyard.request import JobRequest
from taskyard.store.jobs import Created, NewJob
from taskyard.telemetry import metrics
from taskyard.telemetry.tracing import Publishing
from taskyard.validation.field_words import no_such

blueprint = APIBlueprint("batch", __name__)

MAX_JOBS = 1000

SCHEMAS: dict[str, Any] = {
    "BatchRequest": {
        "type": "object",
        "properties": {
            "jobs": {
                "type": "array",
                "items": ref("JobRequest"),
                "minItems": 1,
                "maxItems": MAX_JOBS,
            }
        },
        "required": ["jobs"],
        "additionalProperties": False,
    },
    "Batch": {
        "type": "object",
        "properties": {"items": {"type": "array", "items": ref("BatchItem")}},
        "required": ["items"],
    },
    "BatchItem": {
        "type": "object",
        "description": "What became of the job at this place of the request.",
        "properties": {
            "id": {**TEXT, "description": "The job; of one that was there, or one like it."},
            "state": STATE,
            "is_new": {"type": "boolean", "description": "False: it was there before."},
            "is_rejected": {
                "type": "boolean",
                "description": "Refused: `id` is like it and lives, and the task rejects such jobs.",
            },
            "links": {"type": "object", "properties": {"self": TEXT}, "required": ["self"]},
        },
        "required": ["id", "state", "is_new", "is_rejected", "links"],
    },
}
_TRACEPARENT = describe.parameter(
    "traceparent",
    TEXT,
    "The caller's trace context (W3C), handed on to the workers.",
    place="header",
)
INPUTS = {
    ("post", "/v1/jobs/batch"): describe.Input(
        "BatchRequest", (_TRACEPARENT, {**idempotency.PARAMETER, "example": "import-2026-11-24"})
    ),
}


@blueprint.post("/v1/jobs/batch")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers(
        {202: describe.answer("All jobs are recorded.", "Batch", idempotency.REPLAYED)},
        HTTPStatus.CONFLICT,
    ),
)
def submit_batch() -> Response:
    """Submit 1 to 1,000 jobs: all of them, or none if anything is wrong with one.

    The answer is the promise of `POST /v1/jobs`, for each job and in the order of the request. A fault's
    pointer leads to its job, such as `/jobs/3/args/0`.
    """
    try:
        data = bodies.json_object(context().settings.batch_max_bytes, setting="BATCH_MAX_BYTES")
        checked = _checked(_listed(data))
        keyed = idempotency.KeyedRequest("batch", data)
        if keyed.answer is not None:
            return idempotency.mark(reply(keyed.answer, 202), is_replayed=True)
        facts = {"messaging.batch.message_count": len(checked)}
        with Publishing("", "", parent=bodies.traceparent(), **facts) as publishing:
            jobs = _jobs(checked, keyed.base_id, publishing.traceparent)
            created = context().wait_slots.dispatch_all(jobs)
    except TaskyardError as error:
        metrics.SUBMISSIONS_REFUSED.labels(error.code).inc()
        raise
    _count(jobs, created)
    submitted.log_jobs(created)
    answer = {"items": [_item(each) for each in created]}
    keyed.conclude(answer)
    is_replayed = keyed.is_repeated and not any(each.is_new for each in created)
    return idempotency.mark(reply(answer, 202), is_replayed=is_replayed)


def _listed(data: dict[str, Any]) -> list[Any]:
    faults = bounded(
        Fault(f"/{pointer_part(field)}", "extra_forbidden", no_such("field", field, ["jobs"]))
        for field in data
        if field != "jobs"
    )
    jobs = data.get("jobs")
    if not isinstance(jobs, list) or not 1 <= len(jobs) <= MAX_JOBS:
        kind = "missing" if "jobs" not in data else "range" if isinstance(jobs, list) else "type"
        faults.append(Fault("/jobs", kind, f"must be a list of 1 to {MAX_JOBS} jobs"))
    if faults or not isinstance(jobs, list):
        raise InvalidSubmission(faults)
    return jobs


def _checked(jobs: Sequence[Any]) -> list[tuple[JobRequest, Defaults]]:
    max_bytes = context().settings.payload_max_bytes
    may_be_large = request.content_length is None or request.content_length > max_bytes
    checked: list[tuple[JobRequest, Defaults]] = []
    faults: list[Fault] = []
    for index, job in enumerate(jobs):
        try:
            if not isinstance(job, dict):
                raise InvalidSubmission([Fault("", "type", "must be a JSON object")])
            if may_be_large:
                check_size(job, max_bytes)
            bindings.check_submission(job, pointer=f"/jobs/{index}")
            checked.append(context().catalogue.check(job))
        except InvalidSubmission as error:
            faults += error.at(f"/jobs/{index}")
        if len(faults) > MAX_FAULTS:
            break
    if faults:
        raise InvalidSubmission(faults)
    return checked


def _jobs(
    checked: Sequence[tuple[JobRequest, Defaults]], base_id: str, traceparent: str | None
) -> list[NewJob]:
    jobs: list[NewJob] = []
    faults: list[Fault] = []
    settings = context().settings
    for index, (wanted, defaults) in enumerate(checked):
        named = wanted.model_copy(update={"id": wanted.id or f"{base_id}-{index}"})
        try:
            job = new_job(
                named,
                defaults,
                origin="api",
                payload_max_bytes=settings.payload_max_bytes,
                traceparent=traceparent,
            )
        except InvalidSubmission as error:
            faults += error.at(f"/jobs/{index}")
            continue
        jobs.append(job)
    if faults:
        raise InvalidSubmission(faults)
    return jobs


def _count(jobs: Sequence[NewJob], created: Sequence[Created]) -> None:
    for job, outcome in zip(jobs, created, strict=True):
        if outcome.is_new:
            metrics.JOBS_SUBMITTED.labels(job.queue, job.task, "api").inc()


def _item(created: Created) -> dict[str, Any]:
    return {
        "id": created.id,
        "state": created.state.value,
        "is_new": created.is_new,
        "is_rejected": created.is_rejected,
        "links": {"self": f"/v1/jobs/{created.id}"},
    }
