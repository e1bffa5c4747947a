"""One damaged record among the items of a call: the others are dealt with, and counted, all the same."""

from collections import Counter

import pytest
import redis

from taskyard.errors import StoreFault
from taskyard.job import document
from taskyard.message import new_id
from taskyard.policy.limits import limits
from taskyard.store.attempts import Claim, Outcome
from taskyard.store.finding import Filter
from taskyard.store.jobs import Change, Created, Unique
from tests.contract.jobs import (
    HOUR_MS,
    QUEUE,
    claim,
    declare_limits,
    heartbeat,
    new_job,
    outbox,
    pending,
    running,
    state,
)
from tests.contract.test_suspects import suspect
from tests.polling import poll

#: Ways in which a record may be damaged.
DAMAGES = ("no hash", "not whole")


@pytest.fixture
def damage(result_backend, key_prefix):
    """A function that damages a job's record."""

    def damage(job_id: str, how: str = "no hash") -> None:
        if how == "no hash":
            raw.set(f"{key_prefix}j:{job_id}", "text")
        else:
            raw.hset(f"{key_prefix}j:{job_id}", "attempt", "some")

    with redis.Redis.from_url(result_backend) as raw:
        yield damage


def assert_counted(store, states: dict[str, int]) -> None:
    """Check how many jobs are counted in which state; a damaged one as it was before."""
    told: Counter[str] = Counter()
    for row in store.counts():
        told.update(row.states)
    assert +told == states


@pytest.mark.parametrize("how", DAMAGES)
def test_it_keeps_no_other_from_its_end(store, damage, how):
    """Outcomes are told together; each is answered by itself."""
    heartbeat(store)
    ids = [pending(store) for _ in range(3)]
    tokens = [claim(store, each).token for each in ids]
    first, damaged, last = ids
    damage(damaged, how)
    outcomes = [
        Outcome(job_id, token, "completed", ttl_ms=HOUR_MS)
        for job_id, token in zip(ids, tokens, strict=True)
    ]

    told, _ = store.exchange(outcomes, "w1", "w1", [])

    assert told == ["accepted", "fault", "accepted"]
    assert [state(store, each) for each in (first, last)] == ["completed"] * 2
    with pytest.raises(StoreFault):
        store.settle(outcomes)
    assert_counted(store, {"completed": 2, "running": 1})


@pytest.mark.parametrize("how", DAMAGES)
def test_it_keeps_no_other_from_its_start(store, damage, how):
    """Claims are asked together likewise."""
    heartbeat(store)
    first, damaged, last = ids = [pending(store) for _ in range(3)]
    damage(damaged, how)

    verdicts = store.claim("w1", "w1", [Claim(each, 1, QUEUE) for each in ids])

    assert [each.kind for each in verdicts] == ["run", "fault", "run"]
    assert [state(store, each) for each in (first, last)] == ["running"] * 2
    assert_counted(store, {"running": 2, "pending": 1})


@pytest.mark.parametrize("index", ["ready:default", "held:w1", "ended", "calls:w1"])
def test_an_index_that_is_none_keeps_nothing_from_being_counted(
    store, result_backend, key_prefix, index
):
    """What ends and what starts in the same call goes on, whatever is noted of them together."""
    heartbeat(store)
    ends = [running(store) for _ in range(2)]
    starts = [pending(store), pending(store, queue="other")]
    with redis.Redis.from_url(result_backend) as raw:
        raw.delete(key_prefix + index)
        raw.set(key_prefix + index, "text")

        told, verdicts = store.exchange(
            [Outcome(*each, "completed", ttl_ms=HOUR_MS) for each in ends],
            "w1",
            "w1",
            [Claim(starts[0], 1, QUEUE), Claim(starts[1], 1, "other")],
            call=1,
        )

        raw.delete(key_prefix + index)
    assert (told, [each.kind for each in verdicts]) == (["accepted"] * 2, ["run"] * 2)
    assert [state(store, each) for each, _ in ends] == ["completed"] * 2
    assert [state(store, each) for each in starts] == ["running"] * 2
    assert_counted(store, {"completed": 2, "running": 2})


def test_a_suspect_whose_record_is_damaged_stays_one(store, result_backend, key_prefix):
    """It is not let go to others beside it, and rests for a while."""
    job_id = suspect(store)
    body = store.take_suspect([QUEUE], 0)
    assert body is not None
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{job_id}", "created_at", "some")
    asked = Claim(job_id, body.attempt, QUEUE, expires_ms=HOUR_MS, is_alone=True)

    (verdict,) = store.claim("w1", "w1", [asked])

    assert verdict.kind == "fault"
    assert store.take_suspect([QUEUE], 0) is None
    assert_counted(store, {"retrying": 1})


def test_it_keeps_no_other_from_being_recorded(store, damage):
    """Not that of the same id, and not that of a job that has a lock."""
    taken, holder, first, last = (new_id() for _ in range(4))
    lock = Unique(lock="lock", lock_ms=HOUR_MS, policy="reject")
    damage(taken)
    store.create([new_job(holder, unique=lock)])
    damage(holder)

    made = store.create(
        [new_job(first), new_job(taken), new_job(new_id(), unique=lock), new_job(last)]
    )

    assert [isinstance(each, Created) for each in made] == [True, False, False, True]
    assert [made[0].is_new, made[3].is_new] == [True, True]
    assert outbox(store) >= {first, last}
    assert_counted(store, {"pending": 3})
    assert store.totals().accepted == 3


def test_a_job_of_a_batch_that_cannot_be_recorded_takes_the_others_back(dispatcher, store, damage):
    """All or none: nothing of a request that fails runs."""
    first, damaged = pending(store), new_id()
    damage(damaged)
    good = new_id()

    with pytest.raises(StoreFault):
        dispatcher.dispatch([new_job(good), new_job(damaged), new_job(first)])

    assert store.get([good]) == [None]
    assert state(store, first) == "pending"
    assert_counted(store, {"pending": 1})


def test_of_jobs_by_themselves_only_the_one_fails(dispatcher, store, damage, queue):
    """The others are recorded and published."""
    first, damaged = new_id(), new_id()
    damage(damaged)
    huge = new_job(new_id(), queue=queue, attempts_made=2**80)

    made = dispatcher.dispatch_each(
        [new_job(first, queue=queue), new_job(damaged, queue=queue), huge]
    )

    assert [type(each).__name__ for each in made] == ["Created", "StoreFault", "Unstorable"]
    assert state(store, first) == "pending"


def test_one_of_which_no_message_can_be_made_keeps_no_other_from_being_found(
    dispatcher, store, damage, queue
):
    """Both were recorded before, and are asked for again."""
    bad, good = (new_job(queue=queue) for _ in range(2))
    store.create([bad, good])
    damage(bad.id, "not whole")

    fault, created = dispatcher.dispatch_each([bad, good])

    assert (type(fault), created.id) == (StoreFault, good.id)
    poll(lambda: good.id not in {each.id for each in store.unconfirmed([good.id])})


def test_a_body_that_is_no_text_keeps_no_other_from_its_queue(
    dispatcher, store, result_backend, key_prefix, queue, channel
):
    """Of those that are due, those without a confirm, and those that are repaired."""
    damaged, good = ids = [new_id(), new_id()]
    store.create([new_job(each, queue=queue, delay_ms=1) for each in ids])
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{damaged}", "body", b"\xff\xfe")

    told = [
        poll(lambda: store.take_due(10)[0]),
        store.unpublished(0, 10),
        store.republish(ids),
    ]

    assert [{each.id for each in ready} for ready in told] == [{damaged, good}] * 3
    assert [dispatcher.publish_each(ready) for ready in told] == [{}] * 3
    assert outbox(store) == set()
    bodies = [channel.basic_get(queue)[2] for _ in range(6)]
    assert bodies.count(b"\xff\xfe") == 3


def test_one_that_is_replaced_keeps_no_other_from_taking_its_place(store, damage):
    """It cannot be cancelled; the job that replaces it is safe and starts all the same."""
    heartbeat(store)
    old, new, other = (new_id() for _ in range(3))
    lock = Unique(lock="lock", lock_ms=HOUR_MS, policy="replace")
    store.create([new_job(old, unique=lock)])
    store.create([new_job(new, unique=lock)])
    store.create([new_job(other)])
    damage(old)

    store.replace([new, other])
    verdicts = store.claim("w1", "w1", [Claim(each, 1, QUEUE) for each in (new, other)])

    assert [each.kind for each in verdicts] == ["run", "run"]


#: What may be found in a field, and what of it cannot be read.
UNREADABLE = {
    "no JSON": ("body", b"no json"),
    "no UTF-8": ("body", b"\xff"),
    "no message": ("body", b"{}"),
    "no attempt": ("a:1", b"some"),
    "no progress": ("progress", b"some"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_it_is_shown_among_the_others(store, result_backend, key_prefix, what):
    """As what it is about; whoever deals with it learns that it is damaged."""
    ids = [pending(store) for _ in range(3)]
    damaged = ids[1]
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{damaged}", *UNREADABLE[what])

    found = {job.id: job for job in store.find(Filter(queue=QUEUE)).jobs}

    assert found.keys() == set(ids)
    assert [found[each].is_readable for each in ids] == [True, False, True]
    shown = document(found[damaged])
    assert (shown["state"], shown["queue"], shown["args"], shown["kwargs"]) == (
        "pending",
        QUEUE,
        None,
        None,
    )
    assert store.look([damaged, "none"]) == [found[damaged], None]
    with pytest.raises(StoreFault):
        store.get([damaged])


@pytest.mark.parametrize("body", [b"no json", b"\xff", b"[]"])
def test_what_cannot_be_read_cannot_be_changed(store, result_backend, key_prefix, body):
    """It is told why, and stays as it is."""
    job_id = pending(store, delay_ms=HOUR_MS)
    key = f"{key_prefix}j:{job_id}"
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(key, "body", body)
        before = raw.hgetall(key)

        with pytest.raises(StoreFault, match="cannot be changed"):
            store.change(job_id, Change(priority=1))

        assert raw.hgetall(key) == before


@pytest.mark.parametrize("how", [*DAMAGES, "no number"])
def test_it_keeps_no_other_from_being_explained(store, damage, key_prefix, result_backend, how):
    """It is in the way, or works beside: it counts as what is known of it."""
    declare_limits(store, limits(1, None))
    running_one, damaged = pending(store), pending(store)
    claim(store, running_one, task="add")
    sound = pending(store)
    assert claim(store, sound, task="add").kind == "limited"
    ahead = [pending(store) for _ in range(2)]
    last = pending(store)
    with redis.Redis.from_url(result_backend) as raw:
        for each in (running_one, damaged, ahead[0]):
            if how == "no number":
                raw.hset(f"{key_prefix}j:{each}", mapping={"priority": "x", "started_at": "x"})
            else:
                damage(each, how)

    limited, facts = store.explain(sound), store.explain(last)

    assert limited is not None
    assert limited.limit is not None
    assert [each.id for each in limited.limit.holders] == [running_one]
    assert facts is not None
    assert store.ahead(facts).is_complete
    assert len(store.occupants(["w1"])) <= 1


def test_a_result_that_cannot_be_read_is_shown_as_none(store, result_backend, key_prefix):
    """All else of its job is there."""
    job_id = pending(store)
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{job_id}", "result", b"some")

    shown = document(store.find(Filter()).jobs[0])

    assert (shown["id"], shown["result"], shown["kwargs"]) == (job_id, None, {})


@pytest.mark.parametrize("how", DAMAGES)
def test_what_tells_nothing_is_not_listed(store, damage, how):
    """All others are."""
    first, damaged, last = [pending(store) for _ in range(3)]
    damage(damaged, how)

    found = store.find(Filter()).jobs

    assert {job.id for job in found} == {first, last}
    assert store.look([first, damaged])[1] is None
