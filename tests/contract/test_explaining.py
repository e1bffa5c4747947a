"""What the store tells of one job, for `explain`: read at one moment, with a bounded look at the others."""

import pytest

from taskyard.policy.limits import limits
from taskyard.store.explaining import AHEAD_LIMIT, PACE_STEPS
from taskyard.store.jobs import Unique
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    declare_limits,
    get,
    heartbeat,
    new_job,
    pending,
    running,
    settle,
)
from tests.polling import poll


def facts(store, job_id):
    """Return what is known of a job that is there."""
    found = store.explain(job_id)
    assert found is not None
    return found


def kinds(store, job_id):
    """Return the kinds of the times that are noted of a job."""
    return [each.kind for each in facts(store, job_id).intervals]


def test_nothing_is_known_of_no_job(store):
    """Neither who it is nor who is before it."""
    assert store.explain("nothing") is None


def test_a_pending_job(store):
    """Its record as `get` gives it, since when it is ready, and whether its message is confirmed."""
    job_id = pending(store)

    found = facts(store, job_id)
    assert get(store, job_id) == found.job
    assert found.ready_since == found.unconfirmed_since == found.job.created_at
    assert 0 <= found.now_ms - found.job.created_at < 60_000
    assert (found.ready, found.limit, found.runs) == (1, None, [])
    assert (found.queue_pause, found.task_pause, found.lock) == (None, None, None)

    store.mark_published([(job_id, LATER_MS)])
    assert facts(store, job_id).unconfirmed_since is None


def test_pauses_come_with_who_when_and_why(store):
    """Those of its own queue and task only."""
    told = {"at": "2026-11-24T10:00:00.000Z", "by": "ops", "reason": "moving house"}
    job_id = pending(store)
    store.pause("queue", "other", told)
    store.pause("task", "other", told)
    assert (facts(store, job_id).queue_pause, facts(store, job_id).task_pause) == (None, None)

    store.pause("queue", "default", told)
    store.pause("task", "add", told)
    assert (facts(store, job_id).queue_pause, facts(store, job_id).task_pause) == (told, told)


def test_times_in_which_the_queue_was_paused_are_kept(store):
    """The newest first; the one that lasts reaches until now, and a task of this name is another thing."""
    job_id = pending(store)
    store.pause("task", "default", {"at": ""})
    assert facts(store, job_id).queue_pauses == []
    for _ in range(2):
        store.pause("queue", "default", {"at": ""})
        store.resume("queue", "default")
        store.resume("queue", "default")
    store.pause("queue", "default", {"at": ""})
    store.pause("queue", "default", {"at": ""})

    found = facts(store, job_id)

    assert len(found.queue_pauses) == 3
    assert found.now_ms == found.queue_pauses[0][1]
    assert found.queue_pauses == sorted(found.queue_pauses, reverse=True)
    assert all(from_ms <= to_ms for from_ms, to_ms in found.queue_pauses)


def test_a_running_job_has_a_lease(store):
    """That of its worker; before and afterwards there is none."""
    job_id, token = running(store)
    found = facts(store, job_id)
    assert found.lease_ends_at is not None
    assert HOUR_MS - 60_000 < found.lease_ends_at - found.now_ms <= HOUR_MS
    assert facts(store, pending(store)).lease_ends_at is None

    settle(store, job_id, token)
    (run,) = facts(store, job_id).runs
    job = get(store, job_id)
    assert ("completed", job.started_at, job.finished_at) == (
        run.outcome,
        run.started_at,
        run.finished_at,
    )


def test_a_retry_tells_when_the_next_was_to_begin(store):
    """Also once that time is overwritten by another one."""
    job_id, token = running(store, delay_ms=0)
    settle(store, job_id, token, "retrying", delay_ms=1)
    first_at = get(store, job_id).run_at
    poll(lambda: store.take_due(10)[0])
    token = claim(store, job_id, 2).token
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)

    found = facts(store, job_id)
    assert [run.retry_at for run in found.runs] == [first_at, found.job.run_at]
    assert found.first_run_at == found.job.created_at


def test_a_lost_attempt_tells_how_long_it_was_known_to_run(store):
    """Until its lease was ended, not until it was reclaimed."""
    job_id, _ = running(store)
    store.end_lease("w1", "killed by SIGKILL")
    (lost,) = store.lost("reclaim", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying", is_crash=True)

    (run,) = facts(store, job_id).runs
    assert ("lost", lost.ran_ms) == (run.outcome, run.ran_ms)


@pytest.fixture
def held(store):
    """Two jobs of a task with a concurrency of 1: the one that runs with its token, and the one held back."""
    heartbeat(store)
    declare_limits(store, limits(1, None))
    first, second = pending(store), pending(store)
    token = claim(store, first, task="add", limit_key="x").token
    assert claim(store, second, task="add", limit_key="x").kind == "limited"
    return first, token, second


def test_a_limit_is_told_with_who_holds_it(store, held):
    """By the job that has the slot as well, which does not name itself."""
    first, _, second = held

    found = facts(store, second)
    assert found.limit is not None
    assert (
        found.limit.key,
        found.limit.limits.concurrency,
        found.limit.holding,
        found.limit.coming,
    ) == ("x", 1, 1, 0)
    (holder,) = found.limit.holders
    assert (holder.id, holder.task, holder.state) == (first, "add", "running")
    assert get(store, first).started_at == holder.started_at
    assert (found.limit.place, found.limit.held_back) == (0, 1)
    assert found.held_at is not None
    assert facts(store, first).limit.holders == []


def test_a_place_in_the_line_of_a_limit(store, held):
    """By priority, then by age."""
    third, urgent = pending(store), pending(store)
    claim(store, third, task="add", limit_key="x")
    claim(store, urgent, task="add", limit_key="x", priority=9)

    places = [facts(store, each).limit.place for each in (urgent, held[2], third)]
    assert places == [0, 1, 2]


def test_a_rate_tells_which_start_has_to_pass(store):
    """The one that is so many starts ago."""
    heartbeat(store)
    declare_limits(store, limits(None, "2/h"))
    ids = [pending(store) for _ in range(3)]
    for each in ids:
        claim(store, each, task="add")

    limit = facts(store, ids[2]).limit
    assert limit is not None
    assert get(store, ids[0]).started_at == limit.oldest_start_ms
    assert (limit.limits.starts, limit.limits.per_ms) == (2, HOUR_MS)


def test_a_time_held_back_is_noted_when_it_ends(store, held):
    """Let go, or cancelled."""
    first, token, second = held
    third = pending(store)
    claim(store, third, task="add", limit_key="x")
    since = facts(store, second).held_at
    settle(store, first, token)
    poll(lambda: store.take_due(10)[0])
    store.cancel([third], HOUR_MS)

    found = facts(store, second)
    assert (found.held_at, found.intervals[0].from_ms) == (None, since)
    assert found.ready_since == found.intervals[0].to_ms
    assert [kinds(store, second), kinds(store, third)] == [["limited"]] * 2


def test_a_pause_holds_back_too(store):
    """Of a task, once its job is claimed; it is told apart from a limit."""
    heartbeat(store)
    store.pause("task", "add", {"at": ""})
    job_id = pending(store)
    claim(store, job_id, task="add")
    store.resume("task", "add")
    poll(lambda: store.take_due(10)[0])

    assert kinds(store, job_id) == ["paused"]


def test_a_time_parked_is_noted_when_it_ends(store):
    """All of it as one, however often a worker put the job off; what it was to run at first is kept."""
    heartbeat(store)
    job_id = pending(store, delay_ms=1)
    first_at = get(store, job_id).run_at
    for _ in range(2):
        poll(lambda: store.take_due(10)[0])
        claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)
    parked_at = facts(store, job_id).parked_at
    poll(lambda: store.take_due(10)[0])
    claim(store, job_id)

    found = facts(store, job_id)
    (interval,) = found.intervals
    assert (interval.kind, interval.from_ms) == ("parked", parked_at)
    assert found.job.started_at == interval.to_ms
    assert (found.parked_at, found.first_run_at) == (None, first_at)


def test_an_attempt_that_was_handed_back_is_noted(store):
    """It leaves no other trace."""
    job_id, token = running(store)
    settle(store, job_id, token, "released")

    assert kinds(store, job_id) == ["handed_back"]


def test_a_time_after_an_end_is_noted(store):
    """Between a failure and an operator's retry."""
    job_id, token = running(store)
    settle(store, job_id, token, "failed")
    ended_at = get(store, job_id).finished_at
    (retry_sources,) = store.retry_sources([job_id])
    store.retry([(job_id, 1, retry_sources.body)])

    (interval,) = facts(store, job_id).intervals
    assert (interval.kind, interval.from_ms) == ("ended", ended_at)


def test_only_the_latest_times_are_kept(store):
    """A job that comes back for ever does not grow for ever."""
    heartbeat(store)
    job_id = pending(store)
    for _ in range(150):
        settle(store, job_id, claim(store, job_id).token, "released")

    found = facts(store, job_id).intervals
    assert 50 < len(found) < 130
    assert {each.kind for each in found} == {"handed_back"}


def test_a_lock_is_told_with_its_holder(store):
    """And a job that was replaced with the one that did."""
    unique = Unique(lock="the-only-one", lock_ms=HOUR_MS, policy="replace")
    first, second = new_job(unique=unique), new_job(unique=unique)
    store.create([first])
    lock = facts(store, first.id).lock
    assert lock is not None
    assert first.id == lock.holder
    assert HOUR_MS - 60_000 < lock.left_ms <= HOUR_MS

    store.create([second])
    store.replace([second.id])
    replaced = facts(store, first.id)
    assert (second.id, second.id) == (replaced.replaced_by, replaced.lock.holder)


def test_the_pace_counts_starts_of_the_queue(store):
    """All attempts, of this queue only."""
    heartbeat(store)
    for queue in ("default", "default", "other"):
        claim(store, pending(store, queue=queue), queue=queue)

    pace = facts(store, pending(store)).pace
    assert (len(pace), sum(pace)) == (PACE_STEPS, 2)
    assert sum(pace[-2:]) == 2


def test_those_ahead_are_of_higher_priority_or_older(store):
    """Younger ones of the same priority and all of a lower one come after."""
    jobs = [new_job(f"job-{n}", priority=p) for n, p in enumerate([5, 9, 1, 5, 5, 9])]
    for job in jobs:
        store.create([job])

    ahead = [store.ahead(facts(store, job.id)) for job in jobs]
    assert [each.count for each in ahead] == [2, 0, 5, 3, 4, 1]
    assert all(each.is_complete for each in ahead)


def test_nobody_is_ahead_of_a_job_that_is_not_ready(store):
    """It is in no line."""
    pending(store)
    assert store.ahead(facts(store, pending(store, delay_ms=HOUR_MS))).count == 0


def test_so_many_are_ahead_that_they_are_not_counted(store):
    """The look is bounded."""
    store.create([new_job() for _ in range(AHEAD_LIMIT)])
    ahead = store.ahead(facts(store, pending(store)))
    assert (ahead.count, ahead.is_complete) == (AHEAD_LIMIT, False)


def test_occupants_run_longest_first(store):
    """Of the workers that are asked for."""
    first, second = running(store, owner="w1")[0], running(store, owner="w2")[0]
    other = running(store, owner="w3")[0]

    found = [each.id for each in store.occupants(["w2", "w1"])]
    assert set(found) == {first, second}
    assert [each.id for each in store.occupants(["w3", "gone"])] == [other]
    assert store.occupants([]) == []
