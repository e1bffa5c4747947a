"""Limits and pauses: who may start, who waits, and that a slot is never lost or given twice."""

import random

import pytest

from taskyard.policy.limits import limits
from taskyard.store.attempts import Claim
from taskyard.store.controls import Limits
from tests.contract.jobs import (
    HOUR_MS,
    counts,
    declare_limits,
    get,
    heartbeat,
    new_job,
    outbox,
    settle,
    state,
)
from tests.polling import poll


@pytest.fixture
def owned(store):
    """The store, with a worker that has a lease."""
    heartbeat(store)
    return store


def submit(store, count=1, **fields):
    """Record jobs of the task `add`; return their ids."""
    jobs = [new_job(**fields) for _ in range(count)]
    store.create(jobs)
    return [job.id for job in jobs]


def start(store, *ids, key="", attempt=1, priority=5):
    """Claim attempts as a worker does; return the verdicts."""
    claims = [
        Claim(each, attempt, "default", task="add", limit_key=key, priority=priority)
        for each in ids
    ]
    return store.claim("w1", "w1", claims)


def kinds(verdicts):
    """Return what was decided."""
    return [verdict.kind for verdict in verdicts]


def due(store):
    """Return the ids of the jobs that are let go now."""
    return [ready.id for ready in store.take_due(100)[0]]


def test_no_more_start_than_the_limit_says(owned):
    """The others are put aside: scheduled, with the reason, out of queue and outbox."""
    declare_limits(owned, limits(2, None))
    ids = submit(owned, 3)

    assert kinds(start(owned, *ids)) == ["run", "run", "limited"]
    job = get(owned, ids[2])
    assert (job.state, job.reason, job.attempt) == ("scheduled", "limited", 0)
    assert counts(owned) == {"default": {"running": 2, "scheduled": 1}}
    assert due(owned) == []


@pytest.mark.parametrize("end", ["completed", "failed", "retrying", "released"])
def test_a_slot_is_given_on(owned, end):
    """However the attempt ended; the next one goes to its queue, and its claim is granted."""
    declare_limits(owned, limits(1, None))
    first, second, third = submit(owned, 3)
    verdicts = start(owned, first, second, third)
    settle(owned, first, verdicts[0].token, end, delay_ms=HOUR_MS)

    assert due(owned) == [second]
    assert state(owned, second) == "pending"
    assert second in outbox(owned)
    assert kinds(start(owned, *submit(owned))) == ["limited"]  # the slot is taken already
    assert kinds(start(owned, second)) == ["run"]
    assert get(owned, second).reason is None


def test_a_newcomer_does_not_overtake(owned):
    """Where others wait, a slot that is free is theirs."""
    declare_limits(owned, limits(1, None))
    first, second, newcomer = submit(owned, 3)
    verdicts = start(owned, first, second)
    settle(owned, first, verdicts[0].token)

    assert kinds(start(owned, newcomer)) == ["limited"]
    assert due(owned) == [second]


def test_a_newcomer_does_not_overtake_after_the_last_limit(owned):
    """Those that a limit held back go first, though it is gone; then nothing is held back any more."""
    declare_limits(owned, limits(1, None))
    first, second, newcomer = submit(owned, 3)
    start(owned, first, second)
    declare_limits(owned, Limits())

    assert kinds(start(owned, newcomer)) == ["limited"]
    assert due(owned) == [second, newcomer]
    assert kinds(start(owned, second, newcomer, *submit(owned))) == ["run", "run", "run"]


def test_a_higher_priority_goes_first(owned):
    """Among those that wait."""
    declare_limits(owned, limits(1, None))
    first, low, high = submit(owned, 3)
    (verdict,) = start(owned, first)
    start(owned, low, priority=1)
    start(owned, high, priority=9)
    settle(owned, first, verdict.token)

    assert due(owned) == [high]


def test_each_value_of_a_key_has_its_own_limit(owned):
    """One that is full holds up no other."""
    declare_limits(owned, limits(1, None))
    first, second, third = submit(owned, 3)

    assert kinds(start(owned, first, key="a")) == ["run"]
    assert kinds(start(owned, second, key="a")) == ["limited"]
    assert kinds(start(owned, third, key="b")) == ["run"]


def test_a_rate_counts_starts(owned):
    """The next may start when the first is out of the window."""
    declare_limits(owned, limits(None, "2/h"))
    ids = submit(owned, 3)

    verdicts = start(owned, *ids)
    assert kinds(verdicts) == ["run", "run", "limited"]
    settle(owned, ids[0], verdicts[0].token)  # its end changes nothing
    ready, next_ms = owned.take_due(10)
    assert ready == []
    assert HOUR_MS - 60_000 < next_ms <= HOUR_MS


def test_a_rate_lets_the_next_go_in_time(owned):
    """As soon as the window has moved on."""
    declare_limits(owned, Limits(starts=1, per_ms=30))
    first, second = submit(owned, 2)
    assert kinds(start(owned, first, second)) == ["run", "limited"]

    assert poll(lambda: due(owned)) == [second]
    assert kinds(start(owned, second)) == ["run"]


def test_what_was_let_go_counts_until_it_starts(owned):
    """Else a whole window's worth would be let go again and again into a busy queue."""
    declare_limits(owned, Limits(starts=2, per_ms=1))
    ids = submit(owned, 6)
    start(owned, *ids)

    let_go = poll(lambda: due(owned))
    for _ in range(20):
        let_go += due(owned)
    assert len(let_go) == 2


def test_limits_change_at_run_time(owned):
    """What an operator sets wins over what is declared, also when that is declared again."""
    declare_limits(owned, limits(1, None))
    ids = submit(owned, 4)
    start(owned, *ids)

    owned.set_limits("add", limits(3, None))
    declare_limits(owned, limits(1, None))
    assert ids[1:3] == due(owned)
    owned.set_limits("add", limits(None, None))
    assert ids[3:] == due(owned)
    assert owned.limits() == {"add": Limits()}
    owned.set_limits("add", None)
    assert owned.limits() == {"add": limits(1, None)}
    declare_limits(owned, Limits())
    assert owned.limits() == {}


def test_limits_that_are_kept_stay_as_they_are(owned):
    """Two operators may change one each at the same time."""
    declared = limits(1, "10/m")
    declare_limits(owned, declared)
    assert owned.limits_of("add") == (None, declared)

    owned.set_limits("add", limits(5, None), keep=["rate"])
    assert owned.limits_of("add") == (limits(5, "10/m"), declared)
    owned.set_limits("add", limits(None, "7/s"), keep=["concurrency"])
    assert owned.limits() == {"add": limits(5, "7/s")}
    owned.set_limits("add", Limits())
    owned.set_limits("add", limits(2, None), keep=["rate"])
    assert owned.limits_of("add") == (limits(2, None), declared)
    owned.set_limits("add", None)
    assert owned.limits_of("add") == (None, declared)


def test_a_job_that_was_let_go_and_cancelled_gives_its_slot_back(owned):
    """Nobody would ever claim it."""
    declare_limits(owned, limits(1, None))
    first, second, third = submit(owned, 3)
    verdicts = start(owned, first, second, third)
    settle(owned, first, verdicts[0].token)
    assert due(owned) == [second]

    owned.cancel([second], HOUR_MS)
    assert due(owned) == [third]


def test_a_job_that_waits_for_its_limit_can_be_cancelled(owned):
    """It is never let go."""
    declare_limits(owned, limits(1, None))
    first, second = submit(owned, 2)
    verdicts = start(owned, first, second)

    owned.cancel([second], HOUR_MS)
    settle(owned, first, verdicts[0].token)
    assert due(owned) == []
    assert counts(owned) == {"default": {"cancelled": 1, "completed": 1}}


def test_a_lost_worker_gives_its_slots_back(owned):
    """When its job is settled by whoever reclaims it."""
    declare_limits(owned, limits(1, None))
    first, second = submit(owned, 2)
    start(owned, first, second)
    owned.end_lease("w1", "killed")
    (lost,) = owned.lost("reclaim", HOUR_MS, 10)
    assert due(owned) == []

    settle(owned, lost.id, lost.token, "retrying", delay_ms=HOUR_MS)
    assert due(owned) == [second]


def test_a_paused_task_starts_nothing(owned):
    """Its jobs are put aside, and go on when it is resumed."""
    assert owned.pause("task", "add", {"reason": "why"})
    ids = submit(owned, 3)

    assert kinds(start(owned, *ids)) == ["held"] * 3
    assert get(owned, ids[0]).reason == "paused"
    assert due(owned) == []
    assert owned.resume("task", "add")
    assert due(owned) == ids
    assert kinds(start(owned, *ids)) == ["run"] * 3


def test_a_paused_queue_starts_nothing(owned):
    """Its jobs stay where they are: their messages go back into the queue."""
    owned.pause("queue", "default", {"reason": "why"})
    (job_id,) = submit(owned)

    assert kinds(start(owned, job_id)) == ["paused"]
    assert state(owned, job_id) == "pending"
    assert owned.heartbeat("w1", {}, HOUR_MS, []).paused == ["default"]
    owned.resume("queue", "default")
    assert kinds(start(owned, job_id)) == ["run"]


def test_pauses_are_told_apart(owned):
    """A pause is what was said first; queues and tasks have names of their own."""
    assert owned.pause("queue", "add", {"reason": "first"})
    assert not owned.pause("queue", "add", {"reason": "second"})

    assert owned.pauses("queue") == {"add": {"reason": "first"}}
    assert owned.pauses("task") == {}
    assert owned.resume("queue", "add")
    assert not owned.resume("queue", "add")


class Walk:
    """Jobs of a limited task, to which things happen in a random order."""

    def __init__(self, store, seed):
        self.store = store
        self.rng = random.Random(seed)
        self.keys = {each: self.rng.choice("ab") for each in submit(store, 60)}
        self.queued = list(self.keys)
        self.running = {}
        self.attempts = dict.fromkeys(self.keys, 1)

    def step(self):
        """Let one thing happen; then what is let go reaches its queue."""
        chance = self.rng.random()
        if self.queued and chance < 0.5:
            self._claim(self.queued.pop(self.rng.randrange(len(self.queued))))
        elif self.running and chance < 0.9:
            self._end(self.rng.choice(list(self.running)))
        elif chance > 0.97:
            waiting = [each for each in self.keys if each not in self.running]
            self.store.cancel([self.rng.choice(waiting)], HOUR_MS)
        self.queued += [each for each in due(self.store) if each not in self.queued]

    def most_at_a_time(self):
        """Return how many run of the busier key."""
        keys = [self.keys[each] for each in self.running]
        return max(keys.count("a"), keys.count("b"))

    def has_ended(self):
        """Whether all jobs have."""
        ended = ("completed", "failed", "cancelled")
        return all(job.state in ended for job in self.store.get(list(self.keys)))

    def _claim(self, job_id):
        attempt = self.attempts[job_id]
        (verdict,) = start(self.store, job_id, key=self.keys[job_id], attempt=attempt)
        if verdict.kind == "run":
            self.running[job_id] = verdict.token

    def _end(self, job_id):
        end = self.rng.choice(["completed", "failed", "retrying", "released", "cancelled"])
        if end == "cancelled":
            self.store.cancel([job_id], HOUR_MS)
        settle(self.store, job_id, self.running.pop(job_id), end)
        self.attempts[job_id] += end == "retrying"
        if end == "released":
            self.queued.append(job_id)


@pytest.mark.parametrize("seed", range(5))
def test_slots_are_neither_lost_nor_given_twice(owned, seed):
    """Whatever happens to jobs in whatever order, all of them end and no more run than may."""
    declare_limits(owned, limits(3, None))
    walk = Walk(owned, seed)

    while not walk.has_ended():
        walk.step()
        assert walk.most_at_a_time() <= 3


@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_withdrawn_job_gives_its_slot_back(owned, is_let_go):
    """And waits for none: those behind it go on."""
    declare_limits(owned, limits(1, None))
    first, second, third = submit(owned, 3)
    (running, *_) = start(owned, first, second, third)
    if is_let_go:
        settle(owned, first, running.token)
        assert due(owned) == [second]

    assert owned.withdraw([second]) == []

    if not is_let_go:
        settle(owned, first, running.token)
    assert due(owned) == [third]
    assert kinds(start(owned, third)) == ["run"]
    assert owned.check_records("0", 100).findings == []


def test_what_is_let_go_at_a_time_takes_some_megabytes_at_most(owned):
    """The rest is let go by the next call."""
    declare_limits(owned, limits(1, None))
    ids = submit(owned, 40, args=["x" * 250_000])
    assert kinds(start(owned, *ids)) == ["run"] + ["limited"] * 39
    declare_limits(owned, limits(100, None))

    portions = [owned.take_due(500)[0] for _ in range(5)]

    assert sorted(ids[1:]) == sorted(job.id for some in portions for job in some)
    assert max(sum(len(job.body) for job in some) for some in portions) < 4_500_000
