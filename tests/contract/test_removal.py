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

    assert [(each.verdict, each.state) for each in answers] == [
        ("removed", "completed"),
        ("too_early", "pending"),
        ("unknown", ""),
    ]
    assert store.get([ended]) == [None]
    assert counts(store) == {QUEUE: {"pending": 1}}
    assert [each.verdict for each in store.remove([ended])] == ["unknown"]
    assert store.prune(10) == 0


def test_a_cancelled_job_is_removed_once_its_message_was_seen(store):
    """Before, the message would be taken for a new job, and run."""
    heartbeat(store)
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)

    assert [each.verdict for each in store.remove([job_id])] == ["too_early"]
    assert claim(store, job_id).kind == "cancelled"
    assert [each.verdict for each in store.remove([job_id])] == ["removed"]


def test_a_purge_cancels_what_is_pending_in_steps(store):
    """Other queues, running and scheduled jobs are left."""
    job_ids = [pending(store) for _ in range(3)]
    busy, _ = running(store)
    later = pending(store, delay_ms=HOUR_MS)
    other = pending(store, queue="other")

    counted = store.purge(QUEUE, limit=0, ttl_ms=HOUR_MS)
    first = store.purge(QUEUE, limit=2, ttl_ms=HOUR_MS)
    last = store.purge(QUEUE, limit=2, ttl_ms=HOUR_MS, before_ms=first.before_ms)

    assert [(step.cancelled, step.left) for step in (counted, first, last)] == [
        (0, 3),
        (2, 1),
        (1, 0),
    ]
    assert {state(store, job_id) for job_id in job_ids} == {"cancelled"}
    assert [state(store, i) for i in (busy, later, other)] == ["running", "scheduled", "pending"]


def test_what_comes_after_a_purge_began_is_left(store):
    """It was not there when somebody asked."""
    begun = store.purge(QUEUE, limit=1, ttl_ms=HOUR_MS)
    pending(store)

    assert (
        store.purge(QUEUE, limit=10, ttl_ms=HOUR_MS, before_ms=begun.before_ms - 1).cancelled == 0
    )


def test_submissions_of_a_period_are_counted(store):
    """Those that are kept."""
    for _ in range(3):
        pending(store)

    assert store.submitted_within(60) == 3
