"""What is done to many jobs at once, in bounded steps that anyone may repeat."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from taskyard.job import State
from taskyard.store import JobStore
from taskyard.store.finding import Count, Cursor, Filter

if TYPE_CHECKING:  # it brings pika along: who only cancels does not need it
    from taskyard.dispatcher import Dispatcher

#: Jobs that one script call cancels or retries: a few milliseconds in which Redis serves nobody else.
BATCH = 200
#: Pages that one call looks at, which may all be empty.
MAX_PAGES = 20
#: A call begins no more steps after so long: where RabbitMQ is slow, each takes its whole deadline. Seconds.
MAX_S = 15.0
#: States that can be cancelled.
LIVING = (State.SCHEDULED, State.PENDING, State.RUNNING, State.RETRYING)
#: States that can be retried.
RETRYABLE = (State.FAILED, State.CANCELLED, State.EXPIRED)


class Cancellation(Struct):
    """What one call did, and where the next goes on; None: that was all."""

    cancelled: int = 0
    requested: int = 0
    too_late: int = 0
    cursor: Cursor | None = None


class BulkRetry(Struct):
    """What one call did, and where the next goes on; None: that was all."""

    retried: int = 0
    #: Retried by another, removed or changed since they were found; or another living job has their lock.
    skipped: int = 0
    cursor: Cursor | None = None


def cancel_found(
    store: JobStore, wanted: Filter, *, cursor: Cursor | None, limit: int, ttl_ms: int
) -> Cancellation:
    """Cancel living jobs that fit, at most `limit`; one that starts meanwhile is asked to stop.

    Args:
        store: Where they are.
        wanted: Which are meant; those of its states that have ended are left.
        cursor: Where the call before stopped.
        limit: How many to cancel.
        ttl_ms: How long records are kept, in milliseconds.
    """
    done = Cancellation()
    for ids, done.cursor in _steps(store, _only(LIVING, wanted), cursor, limit):
        for answer in store.cancel(ids, ttl_ms):
            done.cancelled += answer.verdict == "cancelled"
            done.requested += answer.verdict == "requested"
            done.too_late += answer.verdict in ("too_late", "unknown")
    return done


def retry_found(
    dispatcher: "Dispatcher",
    wanted: Filter,
    *,
    cursor: Cursor | None,
    limit: int,
    must_connect: bool = False,
) -> BulkRetry:
    """Make ended jobs that fit pending again, at most `limit`; those that completed are left.

    Each step is recorded before it is published: where a call ends half-way, what it has retried runs.

    Args:
        dispatcher: Where they are, and how they are published.
        wanted: Which are meant; those of its states that cannot be retried are left.
        cursor: Where the call before stopped.
        limit: How many to retry.
        must_connect: Wait for RabbitMQ where there is no connection yet, as in a new process.
    """
    from taskyard.operations.retry import retry_jobs

    done = BulkRetry()
    for ids, done.cursor in _steps(dispatcher.store, _only(RETRYABLE, wanted), cursor, limit):
        for answer in retry_jobs(dispatcher, ids, must_connect=must_connect):
            done.retried += answer.verdict == "retried"
            done.skipped += answer.verdict != "retried"
    return done


def count_living(store: JobStore, wanted: Filter) -> Count:
    """Return how many jobs `cancel_found` would cancel, as far as a bounded look tells."""
    return _count(store, _only(LIVING, wanted))


def count_retryable(store: JobStore, wanted: Filter) -> Count:
    """Return how many jobs `retry_found` would retry, as far as a bounded look tells."""
    return _count(store, _only(RETRYABLE, wanted))


def _count(store: JobStore, wanted: Filter | None) -> Count:
    return Count(count=0, is_complete=True) if wanted is None else store.count(wanted)


def _only(possible: tuple[State, ...], wanted: Filter) -> Filter | None:
    """Return the filter for those of its states that are `possible`; None if there is none."""
    states = tuple(state for state in possible if not wanted.states or state in wanted.states)
    return structs.replace(wanted, states=states) if states else None


def _steps(
    store: JobStore, wanted: Filter | None, cursor: Cursor | None, limit: int
) -> Iterator[tuple[list[str], Cursor | None]]:
    """Give ids of jobs that fit, `limit` in all, and after each step where to go on."""
    deadline = time.monotonic() + MAX_S
    for _ in range(MAX_PAGES):
        if wanted is None or limit <= 0 or time.monotonic() > deadline:
            return
        page = store.find_ids(wanted, cursor=cursor, limit=min(BATCH, limit))
        cursor = page.cursor
        limit -= len(page.ids)
        yield page.ids, cursor
        if cursor is None:
            return
