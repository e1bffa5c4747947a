"""What the verification reads of the store: totals, records, and what the broker must have."""

import pytest

from taskyard.consistency.messages import deficits
from taskyard.rabbitmq.inspect import Depth
from taskyard.store.consistency import PendingCount, Totals
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    QUEUE,
    claim,
    get,
    heartbeat,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll


def confirmed(store, **fields):
    """Record a job whose message the broker has confirmed; a millisecond after all before it."""
    job_id = pending(store, **fields)
    store.mark_published([(job_id, LATER_MS)])
    (job,) = store.get([job_id])
    poll(lambda: get(store, pending(store, queue="clock")).created_at > job.created_at)
    return job_id


def overtaken(store, **options):
    return store.oldest_overtaken(QUEUE, 0, 100, **options)


def findings(store, **options):
    return store.check_records("0", 1000, **options).findings


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
        page = store.check_records(cursor, 100)
        assert page.findings == []
        cursor, checked, steps = page.cursor, checked + page.checked, steps + 1
    assert checked >= 704
    assert steps > 3


def test_jobs_that_must_have_a_message(store):
    """Those of the outbox are not among them; put back into it, they come with what to publish."""
    confirmed, unconfirmed = pending(store), pending(store)
    store.mark_published([(confirmed, LATER_MS)])

    look = store.count_pending([QUEUE], 0)
    assert look.rows == {QUEUE: PendingCount(jobs=0, old=1, unconfirmed=1)}
    assert store.count_pending([QUEUE], HOUR_MS).rows[QUEUE].old == 0
    assert store.oldest_published(QUEUE, 0, 10) == [confirmed]
    (ready,) = store.republish([confirmed, "unknown"])
    assert (ready.id, ready.queue, ready.attempt) == (confirmed, QUEUE, 1)
    assert store.oldest_published(QUEUE, 0, 10) == []
    assert unconfirmed in {each.id for each in store.unpublished(0, 10)}


def test_jobs_that_became_ready_before_a_look(store):
    """Those that came in its millisecond, or later, are not counted."""
    confirmed(store)
    before = store.count_pending([QUEUE], 0)
    confirmed(store)

    look = store.count_pending([QUEUE, "none"], 0, before_ms=before.at_ms)
    assert (look.rows[QUEUE].jobs, look.rows["none"].jobs) == (1, 0)
    assert store.count_pending([QUEUE], 0, before_ms=look.at_ms).rows[QUEUE].jobs == 2


def test_a_job_is_put_back_once(store):
    """It is ready from then on: who asks a moment later, as another scheduler does, does not get it."""
    job_id = confirmed(store)

    poll(lambda: store.republish([job_id], 100))
    store.mark_published([(job_id, LATER_MS)])

    assert store.republish([job_id], HOUR_MS) == []
    assert store.oldest_published(QUEUE, HOUR_MS, 10) == []
    assert [each.id for each in store.republish([job_id])] == [job_id]


def test_only_pending_jobs_are_published_again(store):
    """One that runs has had its message: a second one would do nothing."""
    job_id, _ = running(store)

    assert store.republish([job_id]) == []


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


def test_who_is_overtaken(store):
    """Those that became ready before one of their priority that runs; oldest first."""
    first, second, third, last = (confirmed(store) for _ in range(4))
    heartbeat(store)
    assert overtaken(store) == []

    claim(store, third)
    assert overtaken(store) == [first, second]
    claim(store, second)
    assert overtaken(store) == [first]
    claim(store, last)
    claim(store, first)
    assert overtaken(store) == []


def test_nobody_is_overtaken_by_the_job_of_another_queue_or_priority(store):
    """Only what is read in one order can be overtaken."""
    old = confirmed(store)
    high, other = confirmed(store, priority=9), confirmed(store, queue="other")
    heartbeat(store)
    claim(store, high)
    claim(store, other, queue="other")

    assert overtaken(store) == []
    assert old in store.oldest_published(QUEUE, 0, 10)


def test_a_job_is_overtaken_by_one_of_a_lower_priority(store):
    """That started though it was ready: after some time, for a worker may have had the other in hand."""
    high = confirmed(store, priority=9)
    heartbeat(store)

    def is_overtaken() -> bool:
        low = confirmed(store, priority=0)
        claim(store, low)
        return high in overtaken(store)

    assert not is_overtaken()
    assert poll(is_overtaken, pause_s=0.1)


def test_what_is_handed_back_overtakes_nobody(store):
    """It became ready again just then, and its message is where it was."""
    waits = confirmed(store)
    heartbeat(store)
    job_id, token = running(store)
    settle(store, job_id, token, "released")
    claim(store, job_id)

    assert overtaken(store) == []
    assert waits in store.oldest_published(QUEUE, 0, 10)


def test_what_is_not_confirmed_is_no_suspect(store):
    """The relay publishes it."""
    pending(store)
    last = confirmed(store)
    heartbeat(store)
    claim(store, confirmed(store))

    assert overtaken(store) == [last]


@pytest.mark.parametrize(
    ("depth", "missing"),
    [(Depth(0, 0), {}), (Depth(0, 1), {QUEUE: 1}), (None, {QUEUE: 1})],
)
def test_an_empty_queue_without_readers_tells_nothing_while_a_worker_reads_it(
    store, depth, missing
):
    """RabbitMQ says so of a quorum queue whose leader it cannot reach, however many messages it has."""
    confirmed(store)
    worker = {"state": "running", "queues": [QUEUE]}
    store.heartbeat("w1", worker, HOUR_MS, [])

    def lacking():
        return deficits(store, store.count_pending([QUEUE], 0), {QUEUE: depth}, older_than_ms=0)

    assert lacking() == missing
    store.heartbeat("w1", worker | {"is_full": True}, HOUR_MS, [])  # nobody reads it then
    assert lacking() == {QUEUE: 1}
    store.heartbeat("w1", worker, HOUR_MS, [])
    store.pause("queue", QUEUE, {})  # nobody reads it then
    assert lacking() == {QUEUE: 1}
