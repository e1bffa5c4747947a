"""What an operator does to jobs: cancel them, one or many, and remove their records."""

from collections.abc import Mapping
from typing import Any

from taskyard.errors import JobNotFound, TooEarly, TooLate
from taskyard.operations import bulk
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import job_facts
from taskyard.operations.bulk import Cancellation
from taskyard.store.finding import Cursor, Filter
from taskyard.store.jobs import Cancelled

#: Jobs that are cancelled at a time where all are meant.
STEP = 1000


def cancel(actor: Actor, job_id: str) -> Cancelled:
    """Cancel a job; say whether it will not run (`cancelled`) or was asked to stop (`requested`).

    Raises:
        JobNotFound: If there is no record of it.
        TooLate: If it has ended.
    """
    (before,) = actor.read([job_id])
    with actor.recording("job.cancel", job_id, before=job_facts(before)) as entry:
        (answer,) = actor.store.cancel([job_id], actor.ttl_ms)
        if answer.verdict == "unknown":
            raise JobNotFound(job_id)
        if answer.verdict == "too_late":
            raise TooLate(job_id, answer.state)
        entry.after = {"verdict": answer.verdict}
    return answer


def cancel_found(
    actor: Actor,
    wanted: Filter,
    *,
    told: Mapping[str, Any],
    cursor: Cursor | None = None,
    limit: int | None = None,
) -> Cancellation:
    """Cancel living jobs that fit; one entry of the audit log is about all of them.

    Args:
        actor: Who does it.
        wanted: Which are meant; those that have ended are left.
        told: Which were asked for, as the audit log tells it.
        cursor: Where the call before stopped.
        limit: How many at most, in a bounded time; None: all.
    """
    total = Cancellation(cursor=cursor)
    with actor.recording("jobs.cancel", before=told) as entry:
        while True:
            step = bulk.cancel_found(
                actor.store,
                wanted,
                cursor=total.cursor,
                limit=STEP if limit is None else limit,
                ttl_ms=actor.ttl_ms,
            )
            total.cancelled += step.cancelled
            total.requested += step.requested
            total.too_late += step.too_late
            total.cursor = step.cursor
            if limit is not None or step.cursor is None:
                break
        entry.after = {"cancelled": total.cancelled, "requested": total.requested}
        if not total.cancelled + total.requested:
            entry.void()
    return total


def remove(actor: Actor, job_id: str) -> None:
    """Remove the record of a job that has ended; its dead letter, if it has one, stays.

    Raises:
        JobNotFound: If there is no record of it.
        TooEarly: If it has not ended, or a message of it may still come.
    """
    (job,) = actor.read([job_id])
    with actor.recording("job.delete", job_id, before=job_facts(job)):
        (answer,) = actor.store.remove([job_id])
        if answer.verdict == "unknown":
            raise JobNotFound(job_id)
        if answer.verdict == "too_early":
            raise TooEarly(job_id, answer.state)
