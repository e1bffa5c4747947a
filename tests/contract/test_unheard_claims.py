"""Claims whose answers were never heard: a heartbeat gives back what its owner holds and does not run."""

import pytest

from taskyard.policy.limits import limits
from taskyard.store.attempts import Claim
from tests.contract.jobs import (
    HOUR_MS,
    QUEUE,
    claim,
    counts,
    declare_limits,
    get,
    pending,
    running,
    settle,
    state,
)


def beat(store, *held, over=0, owner="w1"):
    """Send a heartbeat of a worker that runs what it tells, and has done with its calls up to `over`."""
    return store.heartbeat(owner, {}, HOUR_MS, list(held), over=over)


def claimed(store, call, **fields):
    """Record one job and claim it for `w1` by this call; return its id and token."""
    job_id = pending(store, **fields)
    return job_id, claim(store, job_id, call=call, queue=fields.get("queue", "default")).token


def test_what_a_call_that_is_over_has_claimed_in_vain_is_given_back(store):
    """It is due at once, has lost no attempt, and the next claim of it runs."""
    job_id, token = claimed(store, 1)

    assert beat(store, over=1).given_back == [job_id]

    assert (state(store, job_id), get(store, job_id).attempt) == ("scheduled", 0)
    ready, _ = store.take_due(10)
    assert [(each.id, each.attempt) for each in ready] == [(job_id, 1)]
    assert counts(store) == {"default": {"pending": 1}}
    again = claim(store, job_id, owner="w2")
    assert again.kind == "run"
    assert not settle(store, job_id, token)
    assert settle(store, job_id, again.token)
    assert [each.number for each in get(store, job_id).attempts] == [1]


def test_what_is_told_to_run_is_not_given_back(store):
    """Whichever calls are over: also what has ended and is not settled yet is told."""
    held = claimed(store, 1)

    assert beat(store, held, over=7).given_back == []

    assert settle(store, *held)


def test_what_a_call_under_way_claims_is_not_given_back(store):
    """Its answer may still come."""
    job_id, token = claimed(store, 5)

    assert beat(store, over=4).given_back == []
    assert settle(store, job_id, token)


def test_each_job_is_of_the_call_that_claimed_it(store):
    """Though others claim at the same time, and one call claims several."""
    heard, unheard, later, others = (pending(store) for _ in range(4))
    first = store.claim("w1", "w1", [Claim(heard, 1, QUEUE), Claim(unheard, 1, QUEUE)], call=1)
    other = store.claim("w2", "w2", [Claim(others, 1, QUEUE)], call=1)
    second = store.claim("w1", "w1", [Claim(later, 1, QUEUE)], call=2)

    told = beat(store, (heard, first[0].token), over=1)

    assert told.given_back == [unheard]
    assert settle(store, later, second[0].token)
    assert settle(store, others, other[0].token)


def test_a_repeated_claim_is_of_the_later_call(store):
    """The first answer was lost, the second is on its way: the job is not given back meanwhile."""
    job_id, token = claimed(store, 1)
    assert claim(store, job_id, call=2).token == token

    assert beat(store, over=1).given_back == []
    assert beat(store, (job_id, token), over=2).given_back == []


def test_a_claim_that_is_late_on_its_way_is_not_of_the_later_call(store):
    """A network may hold up the first until after the second: that changes nothing of what is known."""
    job_id = pending(store)
    token = claim(store, job_id, call=2).token
    assert claim(store, job_id, call=1).token == token

    assert beat(store, over=1).given_back == []


def test_a_heartbeat_that_is_late_on_its_way_gives_nothing_back(store):
    """What began since it was sent it does not tell; a later one has seen to the calls up to that."""
    before = claimed(store, 1)
    since = claimed(store, 2)
    assert beat(store, before, since, over=2).given_back == []

    assert beat(store, before, over=1).given_back == []

    unheard, _ = claimed(store, 2)
    assert [each.id for each in store.check_records("0", 100).findings] == [unheard]
    assert settle(store, *since)


def test_a_claim_without_a_number_is_not_given_back(store):
    """Nothing is known of what became of its answer."""
    held = running(store)

    assert beat(store, over=9).given_back == []
    assert settle(store, *held)


def test_a_heartbeat_that_tells_of_no_call_gives_nothing_back(store):
    """As that of an older worker."""
    held = claimed(store, 1)

    assert beat(store).given_back == []
    assert settle(store, *held)


def test_only_the_jobs_of_the_own_lease_are_given_back(store):
    """Others count their calls themselves."""
    held = claimed(store, 1)

    assert beat(store, owner="w2", over=9).given_back == []
    assert settle(store, *held)


def test_a_stale_attempt_does_not_hide_that_the_next_was_never_heard_of(store):
    """A child that runs an attempt which it has lost does not run the one that it was granted since."""
    job_id, stale = claimed(store, 1)
    store.heartbeat("w1", {}, 0, [(job_id, stale)], over=1)
    (lost,) = store.lost("r1", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying")
    store.take_due(10)
    claim(store, job_id, 2, call=2)

    told = beat(store, (job_id, stale), over=2)

    assert (told.lost, told.given_back) == ([job_id], [job_id])


def test_a_job_that_waits_for_its_retry_is_not_given_back(store):
    """It is not held any more, whatever was told of it before."""
    job_id, token = claimed(store, 1)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)

    assert beat(store, over=1).given_back == []
    assert state(store, job_id) == "retrying"


def test_one_that_was_asked_to_be_cancelled_is_cancelled(store):
    """It never ran, and it does not run any more; its record outlives its message."""
    job_id, _ = claimed(store, 1)
    store.cancel([job_id], 0)

    told = beat(store, over=1)

    assert (told.given_back, told.cancelled) == ([job_id], [])
    assert (state(store, job_id), get(store, job_id).attempts) == ("cancelled", [])
    assert store.prune(10) == 0
    assert claim(store, job_id, call=2).kind == "cancelled"
    assert counts(store) == {"default": {"cancelled": 1}}


def test_its_slot_of_a_limit_comes_free(store):
    """The next one of its task may run."""
    declare_limits(store, limits(1, None))
    first, second = pending(store), pending(store)
    assert claim(store, first, call=1, task="add").kind == "run"
    assert claim(store, second, call=2, task="add").kind == "limited"

    assert beat(store, over=2).given_back == [first]

    ready, _ = store.take_due(10)
    assert {each.id for each in ready} == {first, second}


@pytest.mark.parametrize("is_repair", [False, True])
def test_the_audit_finds_a_job_that_nobody_runs(store, is_repair):
    """Claimed by a call that its owner was done with before: it is not told, and nobody waits for it."""
    heard = claimed(store, 1)
    beat(store, heard, over=3)
    under_way, _ = claimed(store, 4)
    assert store.check_records("0", 100).findings == []
    unheard, _ = claimed(store, 2)

    found = store.check_records("0", 100, is_repair=is_repair).findings

    assert [(each.id, each.problem, each.is_repaired) for each in found] == [
        (unheard, "not_run", is_repair)
    ]
    assert state(store, unheard) == ("scheduled" if is_repair else "running")
    assert state(store, under_way) == "running"
    beat(store, heard, over=3)
    assert store.check_records("0", 100).findings == []


def test_it_is_told_that_a_job_is_not_run(store):
    """Of others that run it is not."""
    heard, _ = held = claimed(store, 1)
    beat(store, held, over=3)
    unheard, _ = claimed(store, 2)
    told = {each: store.explain(each) for each in (heard, unheard)}

    assert {each: facts and facts.is_unheard for each, facts in told.items()} == {
        heard: False,
        unheard: True,
    }
