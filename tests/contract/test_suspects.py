"""Jobs that may be what kills their workers: where they wait, who may start them, and what clears them."""

import pytest

from taskyard.message import encode, for_retry, new_id
from taskyard.store.attempts import Claim, Lost
from taskyard.store.controls import Limits
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.jobs import Change
from tests.contract.jobs import (
    HOUR_MS,
    QUEUE,
    claim,
    counts,
    declare_limits,
    get,
    heartbeat,
    outbox,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll

PAUSE = {"by": "test"}


def suspect(store, *, delay_ms=0, **fields):
    """Make a job that waits to be tried alone, and return its id."""
    owner = new_id()
    job_id, _ = running(store, owner=owner, **fields)
    store.end_lease(owner, "killed by SIGSEGV", is_own_death=True)
    lost = {each.id: each for each in store.lost("reclaim", HOUR_MS, 100)}
    settle(
        store,
        job_id,
        lost[job_id].token,
        "retrying",
        is_loss=True,
        is_suspect=True,
        delay_ms=delay_ms,
    )
    return job_id


def take(store, queue=QUEUE, reserve_ms=HOUR_MS):
    """Return the id of the next suspect, or None."""
    found = store.take_suspect([queue], reserve_ms)
    return found and found.id


def start(store, job_id, attempt=2, owner="lone", **fields):
    """Claim a suspect as a lone child does."""
    heartbeat(store, owner)
    return claim(store, job_id, attempt, owner=owner, is_alone=True, **fields)


def pass_a_millisecond(store):
    """Return when the store's clock tells a later time."""
    before = store.now_ms()
    poll(lambda: store.now_ms() > before)


# What is told of a loss


@pytest.mark.parametrize("is_own_death", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_loss_tells_the_company_and_whose_death_it_was(store, is_own_death, limit):
    """The same of each job, also where they are reclaimed piece by piece."""
    ids = {running(store)[0] for _ in range(3)}
    store.end_lease("w1", "exit code 1", is_own_death=is_own_death)

    lost: list[Lost] = []
    while len(lost) < 3:
        lost += store.lost("r1", HOUR_MS, limit)

    assert {each.id for each in lost} == ids
    assert {(each.company, each.is_own_death) for each in lost} == {(3, is_own_death)}


def test_a_lease_that_ran_out_is_nobodys_death(store):
    """As after the loss of a machine: what else the process held is told all the same."""
    for _ in range(2):
        running(store)
    store.heartbeat("w1", {}, 0, [])

    lost = store.lost("r1", HOUR_MS, 10)

    assert [(each.company, each.is_own_death) for each in lost] == [(2, False)] * 2


def test_a_reclaimers_end_does_not_change_what_is_known(store):
    """It held one job alone, and died: the job's own worker counts."""
    for _ in range(2):
        running(store)
    store.end_lease("w1", "exit code 1", is_own_death=True)
    store.lost("r1", HOUR_MS, 1)
    store.end_lease("r1", None)

    lost = store.lost("r2", HOUR_MS, 10)

    assert [(each.company, each.is_own_death, each.exit) for each in lost] == [
        (2, True, "exit code 1")
    ] * 2


def test_the_next_process_is_told_of_anew(store):
    """What is known of one death is not told of another."""
    job_id = suspect(store)
    start(store, job_id)
    store.heartbeat("lone", {}, 0, [])

    (lost,) = store.lost("r1", HOUR_MS, 10)

    assert (lost.company, lost.is_own_death, lost.losses, lost.crashes) == (1, False, 1, 0)


# How they wait


def test_a_suspect_waits_to_be_tried_alone(store):
    """It is retrying, with a reason; no scheduler sends it anywhere."""
    job_id = suspect(store)

    job = get(store, job_id)
    assert (job.state, job.reason, job.attempt, job.crashes) == ("retrying", "suspect", 1, 0)
    assert [attempt.outcome for attempt in job.attempts] == ["lost"]
    assert store.take_due(10) == ([], None)
    assert outbox(store) == set()
    assert store.suspects([QUEUE, "other"]) == 1
    assert counts(store) == {QUEUE: {"retrying": 1}}
    assert store.check_records("0", 100).findings == []


def test_a_message_does_not_start_a_suspect(store):
    """Neither the one that it ran by nor one of its next attempt, if they come to other workers."""
    job_id = suspect(store)
    heartbeat(store)

    assert claim(store, job_id, 1).kind == "duplicate"
    assert claim(store, job_id, 2).kind == "duplicate"
    assert state(store, job_id) == "retrying"


def test_suspects_are_given_out_once_and_in_their_order(store):
    """To one each, by the time from which on they may be tried; of the queues that are asked for."""
    ids = [suspect(store) for _ in range(3)]
    suspect(store, queue="other")

    assert sorted(ids) == sorted(take(store) for _ in ids)
    assert take(store) is None
    assert store.suspects([QUEUE]) == 0
    assert store.take_suspect([QUEUE, "other"], HOUR_MS).queue == "other"


def test_a_suspect_that_nobody_claimed_is_given_out_again(store):
    """Who took it may have died."""
    job_id = suspect(store)

    assert take(store, reserve_ms=1) == job_id
    assert poll(lambda: take(store)) == job_id


def test_a_suspect_waits_for_its_time(store):
    """As it does after it has killed a process once more."""
    job_id = suspect(store, delay_ms=HOUR_MS)

    assert take(store) is None
    assert store.suspects([QUEUE]) == 0
    assert get(store, job_id).run_at is not None


def test_a_suspect_tells_what_it_needs_to_be_started(store):
    """Its message, the number of its next attempt, and its priority."""
    job_id = suspect(store, priority=7, args=[1])

    found = store.take_suspect([QUEUE], HOUR_MS)

    assert (found.id, found.queue, found.attempt, found.priority) == (job_id, QUEUE, 2, 7)
    assert "[1]" in found.body


# How they start and end


def test_a_suspect_starts_alone_and_is_cleared_by_any_end_of_its_own(store):
    """It is like any other job then; attempts that were lost beside others are told with crashes."""
    job_id = suspect(store)
    take(store)
    verdict = start(store, job_id)

    assert (verdict.kind, verdict.crashes) == ("run", 1)
    assert counts(store) == {QUEUE: {"running": 1}}
    assert settle(store, job_id, verdict.token, "retrying")
    assert [ready.id for ready in store.take_due(10)[0]] == [job_id]
    assert get(store, job_id).reason is None
    assert store.suspects([QUEUE]) == 0
    assert claim(store, job_id, 3).kind == "run"
    assert store.check_records("0", 100).findings == []


def test_a_repeated_claim_of_a_suspect_answers_the_same(store):
    """The first answer was lost; nobody else may start it."""
    job_id = suspect(store)
    first = start(store, job_id)

    assert start(store, job_id) == first
    assert start(store, job_id, owner="other").kind == "leased"


def test_a_suspect_that_kills_its_process_alone_stays_one(store):
    """It is blamed, and waits to be tried alone again, though nobody saw how the worker ended."""
    job_id = suspect(store)
    start(store, job_id)
    store.heartbeat("lone", {}, 0, [])
    (lost,) = store.lost("r1", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying", is_crash=True)

    job = get(store, job_id)
    assert (job.reason, job.crashes) == ("suspect", 1)
    assert take(store) == job_id
    assert start(store, job_id, 3).crashes == 2


def test_a_suspect_that_is_handed_back_is_a_suspect_still(store):
    """As when its worker is stopped: it uses up no attempt."""
    job_id = suspect(store)
    verdict = start(store, job_id)
    settle(store, job_id, verdict.token, "released")

    job = get(store, job_id)
    assert (job.state, job.reason, job.attempt) == ("scheduled", "suspect", 1)
    assert outbox(store) == set()
    assert take(store) == job_id
    assert start(store, job_id).kind == "run"
    assert counts(store) == {QUEUE: {"running": 1}}
    assert store.check_records("0", 100).findings == []


def test_a_suspect_whose_start_was_never_heard_of_is_a_suspect_still(store):
    """The answer to its claim was lost, and its lone child lives: the heartbeat gives it back."""
    job_id = suspect(store)
    heartbeat(store, "lone")
    store.claim("lone", "lone", [Claim(job_id, 2, QUEUE, is_alone=True)], call=1)

    beat = store.heartbeat("lone", {}, HOUR_MS, [], over=1)

    assert beat.given_back == [job_id]
    assert get(store, job_id).reason == "suspect"
    assert take(store) == job_id
    assert start(store, job_id).kind == "run"
    assert store.check_records("0", 100).findings == []


# What else may happen to them


def test_a_suspect_that_was_changed_since_it_was_taken_does_not_start_by_that(store):
    """Whoever took it has the old arguments: it is tried with the new ones."""
    job_id = suspect(store, args=[1])
    assert take(store, reserve_ms=1) == job_id

    assert store.change(job_id, Change(args=[2])).verdict == "changed"

    assert start(store, job_id).kind == "duplicate"
    found = poll(lambda: store.take_suspect([QUEUE], HOUR_MS))
    assert "[2]" in found.body
    assert start(store, job_id).kind == "run"


def test_a_suspect_that_was_put_off_since_it_was_taken_does_not_start(store):
    """It waits for its new time."""
    job_id = suspect(store)
    assert take(store) == job_id

    assert store.change(job_id, Change(delay_ms=HOUR_MS)).verdict == "changed"

    assert start(store, job_id).kind == "duplicate"
    assert take(store) is None


def let_go(store):
    """Return a suspect that has the only slot of its limit, and has not started."""
    declare_limits(store, Limits(concurrency=1))
    job_id = suspect(store)
    heartbeat(store)
    other = pending(store)
    verdict = claim(store, other, task="add")
    assert verdict.kind == "run"
    take(store)
    assert start(store, job_id, task="add").kind == "limited"
    settle(store, other, verdict.token)
    store.take_due(10)
    assert get(store, job_id).reason == "suspect"
    return job_id


def test_a_suspect_that_is_put_off_holds_no_slot(store):
    """Its limit lets others go meanwhile."""
    job_id = let_go(store)

    assert store.change(job_id, Change(delay_ms=HOUR_MS)).verdict == "changed"

    assert take(store) is None
    assert get(store, job_id).reason == "suspect"
    assert claim(store, pending(store), task="add").kind == "run"


def test_a_suspect_that_is_to_run_now_keeps_its_slot(store):
    """Its limit has let it go already."""
    job_id = let_go(store)

    assert store.change(job_id, Change(delay_ms=0)).verdict == "changed"

    assert claim(store, pending(store), task="add").kind == "limited"
    assert take(store) == job_id
    assert start(store, job_id, task="add").kind == "run"


def test_a_suspect_can_be_cancelled(store):
    """At once: it does not run."""
    job_id = suspect(store)

    assert store.cancel([job_id], HOUR_MS)[0].verdict == "cancelled"
    assert take(store) is None
    assert start(store, job_id).kind == "cancelled"
    assert counts(store) == {QUEUE: {"cancelled": 1}}


def test_a_suspect_can_expire(store):
    """It did not start in time."""
    job_id = suspect(store, created_at_ms=1)

    assert start(store, job_id, expires_ms=1).kind == "expired"
    assert counts(store) == {QUEUE: {"expired": 1}}
    assert store.check_records("0", 100).findings == []


def test_suspects_of_a_paused_queue_wait(store):
    """They are not given out, and one that was is not started."""
    job_id = suspect(store)
    store.pause("queue", QUEUE, PAUSE)

    assert (take(store), store.suspects([QUEUE])) == (None, 0)
    assert start(store, job_id).kind == "paused"
    store.resume("queue", QUEUE)
    assert take(store) == job_id


def test_a_suspect_of_a_paused_task_is_put_aside_and_is_a_suspect_still(store):
    """Once the task goes on, it is tried alone."""
    job_id = suspect(store)
    store.pause("task", "add", PAUSE)

    assert start(store, job_id, task="add").kind == "held"
    assert get(store, job_id).reason == "paused"
    store.resume("task", "add")
    assert store.take_due(10)[0] == []
    assert get(store, job_id).reason == "suspect"
    assert take(store) == job_id
    assert start(store, job_id, task="add").kind == "run"
    assert counts(store) == {QUEUE: {"running": 1}}
    assert store.check_records("0", 100).findings == []


def test_a_parked_suspect_comes_back_as_one(store):
    """The lone child that took it does not know its task; of further looks nobody is told."""
    job_id = suspect(store)

    assert start(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS).kind == "parked"
    subscription = store.subscribe()
    assert poll(lambda: store.take_due(10) and take(store)) == job_id
    assert start(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS).kind == "parked"
    assert poll(lambda: store.take_due(10) and take(store)) == job_id
    assert start(store, job_id).kind == "run"
    assert [each.state for each in poll(lambda: subscription.get(0.1))] == ["running"]
    subscription.close()


def test_a_suspect_can_be_run_now(store):
    """It does not wait any longer, and is tried alone all the same."""
    job_id = suspect(store, delay_ms=HOUR_MS)

    assert store.change(job_id, Change(delay_ms=0)).verdict == "changed"
    assert take(store) == job_id
    assert store.take_due(10)[0] == []


def test_suspects_that_are_to_run_now_come_before_all_that_wait(store):
    """Of whatever queue, in the order in which that was asked; also one whose turn would be next."""
    heartbeat(store)
    first, *others = [suspect(store) for _ in range(4)]
    elsewhere = suspect(store, queue="other")

    for job_id in (others[2], others[0], elsewhere):
        pass_a_millisecond(store)
        assert store.change(job_id, Change(delay_ms=0)).verdict == "changed"

    taken = [store.take_suspect([QUEUE, "other"], HOUR_MS).id for _ in range(5)]
    assert taken == [others[2], others[0], elsewhere, first, others[1]]


def test_an_operators_retry_clears_a_suspect(store):
    """It was buried for its crashes; somebody has mended it."""
    job_id = suspect(store)
    verdict = start(store, job_id)
    settle(store, job_id, verdict.token, "failed", is_crash=True)
    seen = get(store, job_id)
    body = for_retry(encode(seen.message), seen.attempt)
    assert store.retry([RetryRequest(job_id, seen.attempt, body)])[0].verdict == "retried"

    job = get(store, job_id)
    assert (job.state, job.crashes, job.reason) == ("pending", 0, None)
    heartbeat(store)
    verdict = claim(store, job_id, 3)
    assert (verdict.kind, verdict.crashes) == ("run", 0)
