"""Unique jobs: at most one that is alike lives at a time, and its lock dies with it."""

import pytest

from taskyard.store.dead_letters import RetryRequest
from taskyard.store.jobs import Unique
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    get,
    heartbeat,
    new_job,
    running,
    settle,
    state,
)
from tests.contract.test_dead_letters import index_letter
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
    """Once the new one is safe it is cancelled where it waits, and says why."""
    first, second = alike("replace", **fields), alike("replace")
    store.create([first])

    (created,) = store.create([second])
    assert (second.id, True, True) == (created.id, created.is_new, created.replaces)
    assert get(store, first.id).state != "cancelled"

    store.replace([second.id])
    assert (get(store, first.id).state, get(store, first.id).reason) == ("cancelled", "replaced")
    assert counts(store) == {"default": {"pending": 1, "cancelled": 1}}


def test_a_running_one_is_asked_to_stop_when_it_is_replaced(store):
    """It runs until its worker has heard of it."""
    job_id, token = running(store, unique=Unique(lock="l", lock_ms=60_000, policy="replace"))

    second = alike("replace", lock="l")
    store.create([second])
    store.replace([second.id])
    assert get(store, job_id).cancel_requested
    assert store.heartbeat("w1", {}, 60_000, [(job_id, token)]).cancelled == [job_id]


def rivals(store, count: int, **fields) -> list[str]:
    """Record so many jobs of which each replaces the one before; return their ids."""
    jobs = [alike("replace", **fields) for _ in range(count)]
    for job in jobs:
        store.create([job])
    return [job.id for job in jobs]


def states(store, ids) -> list[str | None]:
    return [job and job.state.value for job in store.get(ids)]


def test_a_submission_that_failed_replaces_nothing(store):
    """The one that was there goes on, and has its lock."""
    first, second = rivals(store, 2)

    store.withdraw([second], published=[second])

    assert states(store, [first, second]) == ["pending", None]
    assert store.create([alike("reject")])[0].id == first
    assert store.totals().missing == 0


def confirmed(store) -> str:
    """Return one that the relay, or another scheduler, has published beside whoever submitted it."""
    (second,) = rivals(store, 1)
    store.replace([second])
    return second


def put_aside(store) -> str:
    """Return one whose message has come to a worker, and whose task is paused."""
    (second,) = rivals(store, 1)
    store.pause("task", "add", {"by": "test"})
    assert claim(store, second, task="add").kind == "held"
    return second


def parked(store) -> str:
    """Return one whose message has come to a worker that does not know its task."""
    (second,) = rivals(store, 1)
    assert claim(store, second, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS).kind == "parked"
    return second


def looked_after(store) -> str:
    """Return one that waits, of a submission for which nobody has spoken so far."""
    (second,) = rivals(store, 1, delay_ms=HOUR_MS)
    store.unpublished(0, 10)
    return second


@pytest.mark.parametrize("replaced", [confirmed, put_aside, parked, looked_after])
def test_one_that_has_replaced_another_stays_though_its_submission_fails(store, replaced):
    """It has not begun, but without it nothing of the two would run."""
    heartbeat(store)
    (first,) = rivals(store, 1)
    second = replaced(store)
    before = states(store, [first, second])

    assert store.withdraw([second], published=[second]) == [second]

    assert states(store, [first, second]) == before
    assert before[0] == "cancelled"
    assert store.check_records("0", 100).findings == []


def test_a_lock_that_is_given_back_ends_when_it_would_have(store):
    """The one that was to take it has not made it longer."""
    store.create([alike("replace", lock_ms=300)])
    (second,) = rivals(store, 1)
    store.withdraw([second])

    poll(lambda: store.create([alike("reject")])[0].is_new)


def test_a_claim_makes_sure_of_the_replacing(store):
    """Whoever submitted the new one died, and its message came all the same."""
    heartbeat(store)
    first, second = rivals(store, 2)

    assert claim(store, second).kind == "run"

    assert states(store, [first, second]) == ["cancelled", "running"]
    assert claim(store, first).kind == "cancelled"


def test_a_new_one_that_was_never_confirmed_replaces_when_it_is(store):
    """The relay is told of it with the message."""
    first, second = rivals(store, 2)

    assert [(ready.id, ready.replaces) for ready in store.unpublished(0, 10)] == [
        (first, False),
        (second, True),
    ]


def test_a_scheduled_one_is_safe_as_soon_as_it_is_recorded(store):
    """If who recorded it does not say so, the look at the outbox makes sure of it."""
    (first,) = rivals(store, 1)
    (second,) = rivals(store, 1, delay_ms=60_000)

    assert [ready.id for ready in store.unpublished(0, 10)] == [first]

    assert states(store, [first, second]) == ["cancelled", "scheduled"]
    assert store.unpublished(0, 10) == []


def test_a_scheduled_one_whose_time_comes_first_is_told_with_its_message(store):
    """It replaces once that is confirmed."""
    (first,) = rivals(store, 1)
    (second,) = rivals(store, 1, delay_ms=1)

    (ready,) = poll(lambda: store.take_due(10)[0])

    assert (ready.id, ready.replaces) == (second, True)
    assert states(store, [first]) == ["pending"]


@pytest.mark.parametrize("order", [[1, 2], [2, 1]])
def test_of_two_that_replace_at_once_the_later_stays(store, order):
    """Whichever of them is safe first."""
    ids = rivals(store, 3)

    for place in order:
        store.replace([ids[place]])

    assert states(store, ids) == ["cancelled", "cancelled", "pending"]
    assert store.create([alike("reject")])[0].id == ids[2]


def test_of_two_that_replace_at_once_either_may_fail(store):
    """The other one goes on as if it had been alone."""
    ids = rivals(store, 3)
    store.withdraw([ids[1]])
    store.replace([ids[2]])
    assert states(store, ids) == ["cancelled", None, "pending"]

    others = rivals(store, 3, lock="b")
    store.withdraw([others[2]])
    store.replace([others[1]])
    assert states(store, others) == ["cancelled", "pending", None]


def test_one_that_ends_before_it_has_replaced_keeps_nobody_out(store):
    """The first is still there, so the next one replaces that."""
    ids = rivals(store, 2)
    store.cancel([ids[1]], 60_000)
    store.replace([ids[1]])
    assert states(store, ids) == ["pending", "cancelled"]

    (third,) = rivals(store, 1)
    store.replace([third])
    assert states(store, [*ids, third]) == ["cancelled", "cancelled", "pending"]


def test_one_that_ended_meanwhile_is_left(store):
    """There is nothing to replace any more."""
    heartbeat(store)
    ids = rivals(store, 2)
    settle(store, ids[0], claim(store, ids[0]).token)

    store.replace([ids[1]])

    assert states(store, ids) == ["completed", "pending"]


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


def retry(store, job_id: str):
    """Ask for an ended job to be run again."""
    (job,) = store.retry_sources([job_id])
    return store.retry([RetryRequest(job_id, job.attempts_made, job.body)])[0]


@pytest.mark.parametrize("policy", ["existing", "reject", "replace"])
def test_an_ended_job_is_not_retried_beside_one_like_it(store, policy):
    """The answer names the job that lives; once that has ended too, it is."""
    first, second = alike(policy), alike(policy)
    for job in (first, second):
        store.create([job])
        if job is first:
            store.cancel([first.id], 60_000)

    answer = retry(store, first.id)
    assert (answer.verdict, answer.holder, state(store, first.id)) == (
        "not_unique",
        second.id,
        "cancelled",
    )

    store.cancel([second.id], 60_000)
    assert retry(store, first.id).verdict == "retried"
    assert retry(store, second.id).holder == first.id
    assert store.create([alike("reject")])[0].id == first.id


def test_of_two_that_are_retried_together_one_is(store):
    """They meet each other as they would meet a third."""
    ids = []
    for _ in range(2):
        ids += rivals(store, 1)
        store.cancel(ids, 60_000)
    jobs = store.retry_sources(ids)

    answers = store.retry([RetryRequest(job.id, job.attempts_made, job.body) for job in jobs])

    assert [(each.verdict, each.holder) for each in answers] == [
        ("retried", ""),
        ("not_unique", ids[0]),
    ]


def test_a_dead_letter_keeps_the_lock_that_its_record_had(store):
    """The record of a failed job was pruned; it is retried from its dead letter."""
    job_id, token = running(store, unique=Unique(lock="add|1", lock_ms=60_000, policy="reject"))
    index_letter(store, job_id)
    settle(store, job_id, token, "failed", ttl_ms=0)
    store.prune(10)
    assert store.get([job_id]) == [None]
    (second,) = store.create([alike("reject")])

    assert retry(store, job_id).holder == second.id

    store.cancel([second.id], 60_000)
    assert retry(store, job_id).verdict == "retried"
    assert store.create([alike("reject")])[0].id == job_id


def test_a_retrying_job_keeps_its_lock(store):
    """It has not ended."""
    heartbeat(store)
    job = alike("reject")
    store.create([job])
    settle(store, job.id, claim(store, job.id).token, "retrying", delay_ms=60_000)

    assert store.create([alike("reject")])[0].is_rejected
    assert state(store, job.id) == "retrying"
