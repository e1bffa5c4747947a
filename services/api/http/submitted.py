"""The jobs that a request submits: in its log line, and in the answer to the submitter."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.http.replies import reply
from services.api.http.request_log import add_facts
from taskyard.errors import InTheWay, JobNotFound
from taskyard.job import Job, for_submitter
from taskyard.store.jobs import Created, NewJob
from taskyard.telemetry import trace_context

#: More ids than these make a line unreadable; the request's id finds the rest.
MAX_IDS = 20


def log_job(job: NewJob, created: Created, traceparent: str | None) -> None:
    """Add one job to the request's log line; its trace only if it is new, since another's is its own."""
    add_facts(job_id=created.id, task=job.task, is_new=created.is_new)
    if created.is_new:
        add_facts(trace_id=trace_context.trace_id(traceparent, created.id))


def log_jobs(created: Sequence[Created]) -> None:
    """Add many jobs to the request's log line: how many they are, and the first ids."""
    add_facts(jobs=len(created), job_ids=[each.id for each in created[:MAX_IDS]])


def shown(job: Job, *, is_theirs: bool) -> Mapping[str, Any]:
    """Return a submitted job as the submitter may see it.

    Args:
        job: The job.
        is_theirs: Whether this very submission made it.

    Raises:
        InTheWay: If the caller's key may not access it.
    """
    if not bindings.is_job_authorized(job):
        raise InTheWay
    may_read = is_theirs or current().may("jobs:read")
    return for_submitter(context().catalogue.document(job), may_read=may_read)


def answer(created: Created) -> Response:
    """Return the answer to an operator: the new job, or the one that was there before.

    Raises:
        JobNotFound: If it has been removed meanwhile.
        InTheWay: If the caller's key may not access it.
    """
    (job,) = context().read([created.id])
    if job is None:
        raise JobNotFound(created.id)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    document = shown(job, is_theirs=created.is_new)
    return reply(document, 202 if created.is_new else 200, headers=headers)
