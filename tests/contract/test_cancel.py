"""What `cancel` does in each state, and how it meets the worker's own outcome."""

import pytest

from taskyard.store import JobStore
from taskyard.store.jobs import Cancelled
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    get,
    outbox,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll


def cancel(store: JobStore, job_id: str) -> Cancelled:
    """Cancel one job, with a record that is kept for an hour."""
    (answer,) = store.cancel([job_id], HOUR_MS)
    return answer


def beat(store, *held: tuple[str, int], owner: str = "w1"):
    return store.heartbeat(owner, {}, HOUR_MS, list(held))


def test_a_pending_job_is_cancelled_at_once(store):
    """It leaves the outbox, and its record stays."""
    job_id = pending(store)

    assert Cancelled(job_id, "cancelled", "cancelled") == cancel(store, job_id)
    assert ("cancelled", set()) == (state(store, job_id), outbox(store))
    assert get(store, job_id).finished_at is not None
    assert store.prune(10) == 0
    assert counts(store) == {"default": {"cancelled": 1}}


def test_a_record_outlives_the_message_of_a_cancelled_job(new_store):
    """However long that waits in its queue: without the record it would be taken for a new job."""
    store = new_store(result_ttl=1)
    job_id = pending(store)
    store.cancel([job_id], 0)
    waiting = pending(store, delay_ms=HOUR_MS)
    store.cancel([waiting], 0)

    assert store.prune(10) == 1, "no message of the one that waited is anywhere"
    assert claim(store, job_id).kind == "cancelled"
    assert poll(lambda: store.prune(10)) == 1, "its message has come and gone"
    assert store.get([job_id, waiting]) == [None, None]


@pytest.mark.parametrize("first", ["scheduled", "retrying", "parked"])
def test_a_waiting_job_is_cancelled_at_once(store, first):
    """It never becomes due."""
    if first == "scheduled":
        job_id = pending(store, delay_ms=HOUR_MS)
    elif first == "retrying":
        job_id, token = running(store)
        settle(store, job_id, token, "retrying", delay_ms=0)
    else:
        job_id = pending(store)
        claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)

    assert cancel(store, job_id).verdict == "cancelled"
    assert store.take_due(10) == ([], None)
    assert get(store, job_id).reason is None
    assert counts(store) == {"default": {"cancelled": 1}}


def test_a_running_job_is_asked_to_stop(store):
    """Its worker learns of it with the next heartbeat, and the job shows that it was asked."""
    job_id, token = running(store)

    assert Cancelled(job_id, "requested", "running") == cancel(store, job_id)
    assert cancel(store, job_id).verdict == "requested"
    assert get(store, job_id).cancel_requested
    assert beat(store, (job_id, token)).cancelled == [job_id]
    assert beat(store, owner="w2").cancelled == []


def test_a_job_that_stopped_is_cancelled(store):
    """Once it is settled nobody is told again."""
    job_id, token = running(store)
    cancel(store, job_id)

    assert settle(store, job_id, token, "cancelled")
    assert state(store, job_id) == "cancelled"
    assert beat(store).cancelled == []


@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_a_job_that_ended_first_keeps_its_outcome(store, kind):
    """A request that came too late does not hide what happened."""
    job_id, token = running(store)
    cancel(store, job_id)

    settle(store, job_id, token, kind, result="1")

    assert state(store, job_id) == kind
    assert beat(store).cancelled == []
    assert counts(store) == {"default": {kind: 1}}


@pytest.mark.parametrize("kind", ["retrying", "released"])
def test_a_cancelled_job_does_not_run_again(store, kind):
    """A retry or a hand-back of a job that someone wants cancelled ends it, and its record is kept."""
    job_id, token = running(store)
    cancel(store, job_id)

    assert settle(store, job_id, token, kind, ttl_ms=0)
    assert settle(store, job_id, token, kind, ttl_ms=0)

    assert state(store, job_id) == "cancelled"
    assert (set(), ([], None)) == (outbox(store), store.take_due(10))
    assert counts(store) == {"default": {"cancelled": 1}}
    assert store.prune(10) == 0, "a retry brings no time to be kept: the store's own must hold"


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled"])
def test_an_ended_job_cannot_be_cancelled(store, kind):
    """It is told what it is."""
    job_id, token = running(store)
    settle(store, job_id, token, kind)

    assert Cancelled(job_id, "too_late", kind) == cancel(store, job_id)


def test_an_unknown_job_cannot_be_cancelled(store):
    """And leaves no trace."""
    assert cancel(store, "unheard-of") == Cancelled("unheard-of", "unknown", "")
    assert counts(store) == {}


def test_a_lost_job_that_is_to_be_cancelled_is_not_retried(store):
    """Whoever reclaims it settles it as a retry, and it ends."""
    job_id, _ = running(store)
    cancel(store, job_id)
    store.end_lease("w1", "signal 9")
    (lost,) = store.lost("r1", HOUR_MS, 10)

    settle(store, job_id, lost.token, "retrying", is_crash=True)

    assert state(store, job_id) == "cancelled"


def test_a_worker_that_lost_its_job_is_not_told_to_cancel_it(store):
    """It is told that the job is lost, which says all."""
    job_id, token = running(store)
    cancel(store, job_id)
    store.heartbeat("w1", {}, 0, [])
    store.lost("r1", HOUR_MS, 10)

    answer = beat(store, (job_id, token))

    assert (answer.cancelled, answer.lost) == ([], [job_id])


def test_one_call_gives_each_job_its_answer(store):
    """Answers come in the order of the ids, and an id that comes twice is answered twice."""
    ready, (busy, _) = pending(store), running(store)

    answers = store.cancel([busy, "unheard-of", ready, ready], HOUR_MS)

    verdicts = [answer.verdict for answer in answers]
    assert verdicts == ["requested", "unknown", "cancelled", "too_late"]
