"""Unique jobs: at most one that is alike lives at a time, and its lock dies with it."""

import pytest

from taskyard.store.base import Unique
from tests.contract.jobs import claim, counts, get, heartbeat, new_job, running, settle, state
from tests.polling import poll


def alike(policy="existing", lock="add|1", lock_ms=60_000, **fields):
    """Return a job with a lock."""
    return new_job(unique=Unique(lock=lock, lock_ms=lock_ms, policy=policy), **fields)


def test_one_like_it_is_given_instead(store):
    """The caller gets the job that lives, and nothing is recorded."""
    first, second = alike(), alike()
    store.create([first])

    (created,) = store.create([second])
    assert (first.id, False, False) == (created.id, created.is_new, created.is_rejected)
    assert store.get([second.id]) == [None]


def test_one_like_it_is_rejected(store):
    """The answer names the job that lives."""
    first = alike("reject")
    store.create([first])

    (created,) = store.create([alike("reject")])
    assert (first.id, True) == (created.id, created.is_rejected)


@pytest.mark.parametrize("fields", [{}, {"delay_ms": 60_000}])
def test_one_like_it_is_replaced(store, fields):
    """It is cancelled where it waits, and says why."""
    first, second = alike("replace", **fields), alike("replace")
    store.create([first])

    (created,) = store.create([second])
    assert (second.id, True) == (created.id, created.is_new)
    assert (get(store, first.id).state, get(store, first.id).reason) == ("cancelled", "replaced")
    assert counts(store) == {"default": {"pending": 1, "cancelled": 1}}


def test_a_running_one_is_asked_to_stop_when_it_is_replaced(store):
    """It runs until its worker has heard of it."""
    job_id, token = running(store, unique=Unique(lock="l", lock_ms=60_000, policy="replace"))

    store.create([alike("replace", lock="l")])
    assert get(store, job_id).cancel_requested
    assert store.heartbeat("w1", {}, 60_000, [(job_id, token)]).cancelled == [job_id]


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_a_lock_dies_with_its_job(store, end):
    """Whatever its end."""
    job_id, token = running(store, unique=Unique(lock="l", lock_ms=60_000, policy="reject"))
    settle(store, job_id, token, end)

    (created,) = store.create([alike("reject", lock="l")])
    assert created.is_new


def test_a_lock_dies_with_the_record_of_its_job(store):
    """A submission that failed leaves nothing behind."""
    first = alike("reject")
    store.create([first])
    store.withdraw([first.id])

    assert store.create([alike("reject")])[0].is_new


def test_a_lock_ends_with_its_time(store):
    """A job that lives longer keeps nobody out any more."""
    store.create([alike("reject", lock_ms=1)])

    poll(lambda: not store.create([alike("reject")])[0].is_rejected)


def test_other_locks_are_other_jobs(store):
    """Only those that are alike meet."""
    created = store.create([alike(lock="a"), alike(lock="b"), alike(lock="a")])

    assert [each.is_new for each in created] == [True, True, False]


def test_a_repeated_submission_is_the_same_job(store):
    """The same id comes first, then the lock."""
    job = alike("reject")
    store.create([job])

    (created,) = store.create([job])
    assert (job.id, False, False) == (created.id, created.is_new, created.is_rejected)


def test_a_retrying_job_keeps_its_lock(store):
    """It has not ended."""
    heartbeat(store)
    job = alike("reject")
    store.create([job])
    settle(store, job.id, claim(store, job.id).token, "retrying", delay_ms=60_000)

    assert store.create([alike("reject")])[0].is_rejected
    assert state(store, job.id) == "retrying"
