"""What a request's log line says of the jobs that came of it."""

from collections.abc import Sequence

from services.api.request_log import tell as tell_request
from taskyard import trace_context
from taskyard.store.base import Created, NewJob

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
