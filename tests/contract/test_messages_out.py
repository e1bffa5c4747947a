"""Messages that may still come of a job that has ended: its record outlives them, and it runs no more."""

import pytest

from taskyard.store.controls import Limits
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    declare_limits,
    heartbeat,
    pending,
    running,
    settle,
    state,
)
from tests.contract.test_dead_letters import index_letter
from tests.contract.test_suspects import start, suspect, take
from tests.polling import poll


def lose(store, job_id, kind="retrying"):
    """End the worker of a job, and settle that as a scheduler does."""
    store.end_lease("dead", "killed by SIGKILL")
    (lost,) = store.lost("reclaim", HOUR_MS, 1)
    assert lost.id == job_id
    settle(store, job_id, lost.token, kind, delay_ms=HOUR_MS, is_loss=True)


def cancel(store, job_id):
    """Cancel a job whose record need not be kept for long."""
    store.cancel([job_id], 1000)


def never_claimed(store):
    """Return a job whose message waits in its queue."""
    job_id = pending(store)
    cancel(store, job_id)
    return job_id


def handed_back(store):
    """Return a job that its worker gave up as it stopped."""
    job_id, token = running(store)
    cancel(store, job_id)
    settle(store, job_id, token, "released")
    return job_id


def handed_back_before(store):
    """Return a job that was cancelled after its worker gave it up."""
    job_id, token = running(store)
    settle(store, job_id, token, "released")
    cancel(store, job_id)
    return job_id


def lost(store):
    """Return a job that was asked to stop when its machine was lost."""
    job_id, _ = running(store, owner="dead")
    cancel(store, job_id)
    lose(store, job_id)
    return job_id


def lost_before(store):
    """Return a job that was cancelled after its machine was lost."""
    job_id, _ = running(store, owner="dead")
    lose(store, job_id)
    cancel(store, job_id)
    return job_id


def suspected(store):
    """Return a job that was to be tried alone."""
    job_id = suspect(store)
    cancel(store, job_id)
    return job_id


def tried_alone(store):
    """Return a job that was stopped while it was tried alone."""
    job_id = suspect(store)
    take(store)
    verdict = start(store, job_id)
    cancel(store, job_id)
    settle(store, job_id, verdict.token, "retrying")
    return job_id


def given_back(store):
    """Return a job whose worker was asked to stop it, and never heard that it had it."""
    job_id = pending(store)
    claim(store, job_id, call=1)
    cancel(store, job_id)
    store.heartbeat("w1", {}, HOUR_MS, [], over=1)
    return job_id


def given_back_before(store):
    """Return a job that was cancelled after it was given back."""
    job_id = pending(store)
    claim(store, job_id, call=1)
    store.heartbeat("w1", {}, HOUR_MS, [], over=1)
    cancel(store, job_id)
    return job_id


def lost_after_a_copy(store):
    """Return a job whose message was published twice; the copy has come before its worker was lost."""
    job_id, _ = running(store, owner="dead")
    assert claim(store, job_id).kind == "leased"
    lose(store, job_id)
    cancel(store, job_id)
    return job_id


OUT = [
    never_claimed,
    handed_back,
    handed_back_before,
    lost,
    lost_before,
    lost_after_a_copy,
    suspected,
    tried_alone,
    given_back,
    given_back_before,
]


@pytest.mark.parametrize("make", OUT)
def test_the_record_outlives_the_message(new_store, make):
    """However long that waits, as in a paused queue: without the record it would be taken for a new job."""
    store = new_store(result_ttl=1)
    heartbeat(store)
    job_id = make(store)
    assert state(store, job_id) == "cancelled"
    outlived = pending(store, delay_ms=HOUR_MS)
    store.cancel([outlived], 1000)

    poll(lambda: store.prune(10))
    poll(lambda: store.get([outlived]) == [None] or store.prune(10))

    assert [each.verdict for each in store.remove([job_id])] == ["too_early"]
    assert claim(store, job_id).kind == "cancelled"
    poll(lambda: store.prune(10))
    assert store.get([job_id]) == [None], "its message has come and gone"


def test_what_was_completed_alone_outlives_its_older_message(new_store):
    """It would run once more."""
    store = new_store(result_ttl=1)
    job_id = suspect(store)
    take(store)
    settle(store, job_id, start(store, job_id).token, ttl_ms=0)

    assert store.prune(10) == 0
    assert claim(store, job_id).kind == "duplicate"
    poll(lambda: store.prune(10))
    assert store.get([job_id]) == [None]


@pytest.mark.parametrize("make", OUT)
def test_once_its_message_has_come_the_record_may_go(store, make):
    """Nothing else is waited for."""
    heartbeat(store)
    job_id = make(store)

    assert [each.verdict for each in store.remove([job_id])] == ["too_early"]
    assert claim(store, job_id).kind == "cancelled"
    assert [each.verdict for each in store.remove([job_id])] == ["removed"]


def stopped(store):
    """Return a job that its worker stopped."""
    job_id, token = running(store)
    cancel(store, job_id)
    settle(store, job_id, token, "cancelled")
    return job_id


def failed_meanwhile(store):
    """Return a job that would have been retried."""
    job_id, token = running(store)
    cancel(store, job_id)
    settle(store, job_id, token, "retrying")
    return job_id


def retrying(store):
    """Return a job that waited for its retry."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)
    cancel(store, job_id)
    return job_id


def due_and_parked(store):
    """Return a job whose message came to a worker that did not know its task."""
    job_id = pending(store, delay_ms=1)
    poll(lambda: store.take_due(10)[0])
    claim(store, job_id, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS)
    cancel(store, job_id)
    return job_id


def due_and_limited(store):
    """Return a job whose limit held it back when its message came."""
    declare_limits(store, Limits(concurrency=1))
    first, job_id = pending(store), pending(store, delay_ms=1)
    poll(lambda: store.take_due(10)[0])
    assert [claim(store, i, task="add").kind for i in (first, job_id)] == ["run", "limited"]
    cancel(store, job_id)
    return job_id


def acknowledged_after_the_loss_was_seen(store):
    """Return a suspect whose message has come since."""
    job_id = suspect(store)
    assert claim(store, job_id).kind == "duplicate"
    cancel(store, job_id)
    return job_id


@pytest.mark.parametrize(
    "make",
    [
        stopped,
        failed_meanwhile,
        retrying,
        due_and_parked,
        due_and_limited,
        acknowledged_after_the_loss_was_seen,
    ],
)
def test_where_no_message_is_out_the_record_may_go_at_once(store, make):
    """What was acknowledged does not come again."""
    heartbeat(store)

    assert [each.verdict for each in store.remove([make(store)])] == ["removed"]


def failed(store):
    """Return a job that failed for good by the loss of its worker."""
    job_id, _ = running(store, owner="dead")
    index_letter(store, job_id)
    lose(store, job_id, "failed")
    return job_id


def test_a_failed_job_outlives_its_letter_while_its_message_is_out(store):
    """The letter is purged at once, and the message starts nothing."""
    heartbeat(store)
    job_id = failed(store)

    assert store.purge_dead([job_id]) == [job_id]

    assert store.dead_letters([job_id]) == [None]
    assert claim(store, job_id).kind == "duplicate"
    assert [each.verdict for each in store.remove([job_id])] == ["removed"]


def test_a_copy_of_the_message_does_not_run_what_was_removed(store):
    """Two were published, as by `relay`; the first has come, and the second comes after the removal."""
    heartbeat(store)
    job_id = pending(store)
    cancel(store, job_id)
    assert claim(store, job_id).kind == "cancelled"
    assert [each.verdict for each in store.remove([job_id])] == ["removed"]

    assert claim(store, job_id).kind == "cancelled"

    assert pending(store, job_id=job_id) == job_id
    assert claim(store, job_id).kind == "run"
