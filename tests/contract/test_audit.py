"""The audit's looks at the store: totals, records, and what the broker must have."""

from taskyard.store.audit import Totals
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    QUEUE,
    claim,
    get,
    pending,
    running,
    settle,
    state,
)


def findings(store, **options):
    return store.audit_records("0", 1000, **options).findings


def test_totals_balance_whatever_becomes_of_records(store):
    """Recorded, ended, pruned and withdrawn ones are all told; the same job twice is one."""
    assert store.totals() is None
    pending(store, job_id="twice")
    pending(store, job_id="twice")
    store.withdraw([pending(store)])
    settle(store, *running(store), ttl_ms=0)
    settle(store, *running(store), "retrying", delay_ms=HOUR_MS)
    store.prune(10)

    kept = {"pending": 1, "retrying": 1}
    assert store.totals() == Totals(accepted=4, withdrawn=1, pruned=1, kept=kept)
    assert store.totals().missing == 0


def test_records_in_every_state_are_where_they_belong(store):
    """A walk sees each of them, in steps, and finds nothing."""
    for _ in range(700):
        pending(store)
    pending(store, delay_ms=HOUR_MS)
    running(store)
    settle(store, *running(store))
    settle(store, *running(store), "retrying", delay_ms=HOUR_MS)

    cursor, checked, steps = "0", 0, 0
    while steps == 0 or cursor != "0":
        page = store.audit_records(cursor, 100)
        assert page.findings == []
        cursor, checked, steps = page.cursor, checked + page.checked, steps + 1
    assert checked >= 704
    assert steps > 3


def test_jobs_that_must_have_a_message(store):
    """Those of the outbox are not among them; put back into it, they come with what to publish."""
    confirmed, unconfirmed = pending(store), pending(store)
    store.mark_published([(confirmed, LATER_MS)])

    (row,) = store.audit_queues([QUEUE], 0)
    assert (row.jobs, row.old) == (1, 1)
    assert store.audit_queues([QUEUE], HOUR_MS)[0].old == 0
    assert store.audit_published(QUEUE, 0, 10) == [confirmed]
    (ready,) = store.audit_republish([confirmed, "unknown"])
    assert (ready.id, ready.queue, ready.attempt) == (confirmed, QUEUE, 1)
    assert store.audit_published(QUEUE, 0, 10) == []
    assert unconfirmed in {each.id for each in store.unpublished(0, 10)}


def test_only_pending_jobs_are_published_again(store):
    """One that runs has had its message: a second one would do nothing."""
    job_id, _ = running(store)

    assert store.audit_republish([job_id]) == []


def test_a_lost_attempt_tells_its_exit_and_memory(store):
    """The supervisor's words are taken apart again, and the crash is counted."""
    job_id, _ = running(store, owner="dead")
    store.end_lease("dead", "killed by SIGKILL, peak memory 123 MiB")
    (lost,) = store.lost("reclaim", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying", is_crash=True)

    (attempt,) = get(store, job_id).attempts
    assert (attempt.outcome, attempt.exit, attempt.peak_mib) == ("lost", "killed by SIGKILL", 123)
    assert get(store, job_id).crashes == 1
    store.take_due(10)
    assert claim(store, job_id, 2).kind == "run"
    assert state(store, job_id) == "running"
