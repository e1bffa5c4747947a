"""Removing records that have ended, and purging queues."""

from tests.contract.jobs import (
    HOUR_MS,
    QUEUE,
    claim,
    counts,
    heartbeat,
    pending,
    running,
    settle,
    state,
)


def test_only_what_has_ended_is_removed(store):
    """It is gone from everywhere; what has not ended, and what is not there, is told."""
    ended, token = running(store)
    settle(store, ended, token)
    alive = pending(store)

    answers = store.remove([ended, alive, "nothing"])

    assert [("removed", "completed"), ("too_early", "pending"), ("unknown", "")] == [
        (each.verdict, each.state) for each in answers
    ]
    assert [None] == store.get([ended])
    assert {QUEUE: {"pending": 1}} == counts(store)
    assert ["unknown"] == [each.verdict for each in store.remove([ended])]
    assert 0 == store.prune(10)


def test_a_cancelled_job_is_removed_once_its_message_was_seen(store):
    """Before, the message would be taken for a new job, and run."""
    heartbeat(store)
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)

    assert ["too_early"] == [each.verdict for each in store.remove([job_id])]
    assert "cancelled" == claim(store, job_id).kind
    assert ["removed"] == [each.verdict for each in store.remove([job_id])]


def test_a_purge_cancels_what_is_pending_in_steps(store):
    """Other queues, running and scheduled jobs are left."""
    job_ids = [pending(store) for _ in range(3)]
    busy, _ = running(store)
    later = pending(store, delay_ms=HOUR_MS)
    other = pending(store, queue="other")

    counted = store.purge(QUEUE, limit=0, ttl_ms=HOUR_MS)
    first = store.purge(QUEUE, limit=2, ttl_ms=HOUR_MS)
    last = store.purge(QUEUE, limit=2, ttl_ms=HOUR_MS, before_ms=first.before_ms)

    assert [(0, 3), (2, 1), (1, 0)] == [
        (step.cancelled, step.left) for step in (counted, first, last)
    ]
    assert {"cancelled"} == {state(store, job_id) for job_id in job_ids}
    assert ["running", "scheduled", "pending"] == [state(store, i) for i in (busy, later, other)]


def test_what_comes_after_a_purge_began_is_left(store):
    """It was not there when somebody asked."""
    begun = store.purge(QUEUE, limit=1, ttl_ms=HOUR_MS)
    pending(store)

    assert (
        0 == store.purge(QUEUE, limit=10, ttl_ms=HOUR_MS, before_ms=begun.before_ms - 1).cancelled
    )


def test_submissions_of_a_period_are_counted(store):
    """Those that are kept."""
    for _ in range(3):
        pending(store)

    assert 3 == store.submitted_within(60)
