"""What is said of the jobs that came of a request: in its log line, and to who made it."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.http.replies import reply
from services.api.http.request_log import tell as tell_request
from taskyard.errors import InTheWay, JobNotFound
from taskyard.job import Job, for_submitter
from taskyard.store.jobs import Created, NewJob
from taskyard.telemetry import trace_context

#: More ids than these make a line unreadable; the request's id finds the rest.
MAX_IDS = 20


def tell(job: NewJob, created: Created, traceparent: str | None) -> None:
    """Tell of one job; its trace only if it is new, since another's is its own."""
    tell_request(job_id=created.id, task=job.task, is_new=created.is_new)
    if created.is_new:
        tell_request(trace_id=trace_context.trace_id(traceparent, created.id))


def tell_all(created: Sequence[Created]) -> None:
    """Tell of many: how many they are, and the first ids."""
    tell_request(jobs=len(created), job_ids=[each.id for each in created[:MAX_IDS]])


def shown(job: Job, *, is_theirs: bool) -> dict[str, Any]:
    """Return a submitted job as the submitter may see it.

    Args:
        job: The job.
        is_theirs: Whether this very submission made it.

    Raises:
        InTheWay: If it is out of reach.
    """
    if not bindings.reaches_job(job):
        raise InTheWay
    may_read = is_theirs or current().may("jobs:read")
    return for_submitter(context().catalogue.document(job), may_read=may_read)


def answer(created: Created) -> Response:
    """Answer an operator with the job that came of it, or that was there before.

    Raises:
        JobNotFound: If it was removed meanwhile.
        InTheWay: If it has come out of reach meanwhile.
    """
    (job,) = context().read([created.id])
    if job is None:
        raise JobNotFound(created.id)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    document = shown(job, is_theirs=created.is_new)
    return reply(document, 202 if created.is_new else 200, headers=headers)
