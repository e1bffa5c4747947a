"""What an operator does to jobs: cancel or retry one or many, and remove or repair their records."""

from typing import TYPE_CHECKING

from taskyard.errors import JobNotFound, NotUnique, TooEarly, TooLate
from taskyard.operations import bulk
from taskyard.operations.actor import Actor
from taskyard.operations.bulk import BulkRetry, Cancellation
from taskyard.operations.facts import filter_facts, job_facts, some_ids
from taskyard.store.finding import Cursor, Filter
from taskyard.store.jobs import Cancelled

if TYPE_CHECKING:  # they bring pika along, which only some commands need
    from taskyard.consistency.verification import Report, Verification
    from taskyard.dispatcher import Dispatcher

#: Jobs of one step where all that fit are cancelled or retried.
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
    actor: Actor, wanted: Filter, *, cursor: Cursor | None = None, limit: int | None = None
) -> Cancellation:
    """Cancel living jobs that fit; one entry of the audit log is about all of them.

    Args:
        actor: Who does it.
        wanted: Which are meant; those that have ended are left.
        cursor: Where the call before stopped.
        limit: How many at most, in a bounded time; None: all.
    """
    total = Cancellation(cursor=cursor)
    with actor.recording("jobs.cancel", before=filter_facts(wanted)) as entry:
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


def retry(
    actor: Actor, dispatcher: "Dispatcher", job_id: str, *, must_connect: bool = False
) -> None:
    """Make a failed, cancelled or expired job pending again, and publish it.

    It is recorded before it is published: where RabbitMQ takes nothing, `relay` publishes it later.

    Args:
        actor: Who does it.
        dispatcher: What publishes it.
        job_id: Which one.
        must_connect: Wait for RabbitMQ where there is no connection yet, as in a new process.

    Raises:
        JobNotFound: If there is no record of it.
        NotUnique: If another living job has its lock.
        TooLate: If it is in none of these states, or was changed meanwhile.
    """
    from taskyard.operations.retry import retry_jobs

    (before,) = actor.read([job_id])
    with actor.recording("job.retry", job_id, before=job_facts(before)) as entry:
        (answer,) = retry_jobs(dispatcher, [job_id], must_connect=must_connect)
        if answer.verdict == "unknown":
            raise JobNotFound(job_id)
        if answer.verdict == "not_unique":
            task = "" if before is None else before.message.task
            raise NotUnique(task, answer.holder)
        if answer.verdict != "retried":
            raise TooLate(job_id, answer.state or "pending")
        entry.after = {"state": "pending"}


def retry_found(
    actor: Actor,
    dispatcher: "Dispatcher",
    wanted: Filter,
    *,
    cursor: Cursor | None = None,
    limit: int | None = None,
    must_connect: bool = False,
) -> BulkRetry:
    """Retry failed, cancelled and expired jobs that fit; one entry of the audit log is about all of them.

    Args:
        actor: Who does it.
        dispatcher: What publishes them.
        wanted: Which are meant; those in other states are left.
        cursor: Where the call before stopped.
        limit: How many at most, in a bounded time; None: all.
        must_connect: Wait for RabbitMQ where there is no connection yet, as in a new process.
    """
    total = BulkRetry(cursor=cursor)
    with actor.recording("jobs.retry", before=filter_facts(wanted)) as entry:
        while True:
            step = bulk.retry_found(
                dispatcher,
                wanted,
                cursor=total.cursor,
                limit=STEP if limit is None else limit,
                # Where RabbitMQ took nothing once, no other step waits for it.
                must_connect=must_connect and (not total.retried or dispatcher.publisher.is_ready),
            )
            total.retried += step.retried
            total.skipped += step.skipped
            total.cursor = step.cursor
            if limit is not None or step.cursor is None:
                break
        entry.after = {"retried": total.retried}
        if not total.retried:
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


def repair(actor: Actor, verification: "Verification") -> "Report":
    """Put right what is wrong with records and messages, and return what was found.

    Raises:
        Unavailable: If the store or RabbitMQ does not answer.
    """
    with actor.recording("jobs.repair") as entry:
        report = verification.run(is_repair=True)
        ids = [each.id for each in report.findings if each.is_repaired]
        ids += [job_id for each in report.missing if each.is_repaired for job_id in each.jobs]
        entry.after = some_ids(ids)
        if not ids:
            entry.void()
    return report
