"""The routes that run ended jobs again: one, or all that fit a filter."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.context import context
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.routes import bulk
from taskyard.errors import InTheWay, JobNotFound, NotUnique
from taskyard.operations import jobs
from taskyard.operations.bulk import count_retryable

blueprint = APIBlueprint("retries", __name__)


class RetryRequest(bulk.BulkRequest):
    """Which jobs to run again."""


SCHEMAS = {
    "RetryRequest": bulk.request_schema(RetryRequest),
    "BulkRetry": bulk.outcome(
        "With dry_run: jobs that would be retried.",
        retried="Jobs that are pending again.",
        skipped="Jobs that were retried by another request or removed meanwhile, or whose lock another has.",
    ),
}
INPUTS = {("post", "/v1/jobs/retry"): describe.Input("RetryRequest")}


@blueprint.post("/v1/jobs/<job_id>/retry", endpoint="retry_job")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers(
        {202: describe.answer("The job is pending again.", "Job")},
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
    ),
)
def retry(job_id: str) -> Response:
    """Run a failed, cancelled or expired job again.

    It goes on with its attempt numbers, gets all its retries once more, and does not expire. A unique
    job whose lock another living one has by now is refused, as `not_unique`.
    """
    try:
        jobs.retry(actor(), context().dispatcher, job_id)
    except NotUnique as error:
        (holder,) = context().read([error.holder])
        if holder is None or not bindings.is_job_authorized(holder):
            raise InTheWay from None  # which job it is is not for this key
        raise
    (job,) = context().read([job_id])
    if job is None:
        raise JobNotFound(job_id)
    return reply(context().catalogue.document(job), 202)


@blueprint.post("/v1/jobs/retry")
@blueprint.doc(
    tags=["Jobs"], responses=describe.answers({200: describe.answer("What was done.", "BulkRetry")})
)
def retry_many() -> Response:
    """Run all failed, cancelled and expired jobs that fit a filter again, or with `dry_run` count them.

    Each request does a bounded amount of work. Send it again, with the `cursor` that it answered,
    until `is_complete`. Sent again without one it begins anew: what has ended once more by then is
    retried once more.
    """
    request = bulk.read_request(RetryRequest)
    store_filter = request.filter.store_filter()
    if request.dry_run:
        found = count_retryable(context().store, store_filter)
        numbers = {"matching": found.count, "retried": 0, "skipped": 0}
        return bulk.answer(numbers, None, is_complete=found.is_complete)
    done = jobs.retry_found(
        actor(),
        context().dispatcher,
        store_filter,
        cursor=bulk.cursor_of(request),
        limit=request.limit,
    )
    numbers = {"retried": done.retried, "skipped": done.skipped}
    return bulk.answer(numbers, done.cursor, is_complete=done.cursor is None)
