"""What `create` and the outbox promise."""

import time

from taskyard.job import State
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.jobs import Created, Unique
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    counts,
    get,
    heartbeat,
    new_job,
    outbox,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_job_without_a_time_is_pending(store):
    """A recorded job can be read, with what was asked."""
    job = new_job("a", args=[1], kwargs={"b": "c"})

    created = store.create([job])

    (first,) = created
    created_at = get(store, "a").created_at
    assert Created("a", True, State.PENDING, created_at, 0, False, created_at) == first
    read = get(store, "a")
    assert (read.state, read.attempt, read.queue) == (State.PENDING, 0, "default")
    assert (read.message.args, read.message.kwargs) == ([1], {"b": "c"})
    assert abs(now_ms() - read.created_at) < 60_000
    assert read.run_at is None


def test_a_job_with_a_delay_is_scheduled(store):
    """A job whose time is to come waits, and is not in the outbox."""
    created = store.create([new_job("a", delay_ms=HOUR_MS)])

    assert State.SCHEDULED is created[0].state
    read = get(store, "a")
    assert read.run_at == read.created_at + HOUR_MS
    assert outbox(store) == set()


def test_a_job_with_a_run_time_is_scheduled_for_it(store):
    """A run time in the future is kept to the millisecond."""
    run_at_ms = now_ms() + HOUR_MS

    store.create([new_job("a", run_at_ms=run_at_ms)])

    read = get(store, "a")
    assert (State.SCHEDULED, run_at_ms) == (read.state, read.run_at)


def test_a_run_time_that_has_passed_means_now(store):
    """A job that should have run already is pending, and ready since now, not since then."""
    store.create([new_job("a", run_at_ms=now_ms() - HOUR_MS), new_job("b", delay_ms=0)])
    heartbeat(store)

    verdict = claim(store, "a")

    assert state(store, "b") == "pending"
    assert 0 <= verdict.started_at_ms - verdict.ready_at_ms < 60_000


def test_creating_the_same_id_again_changes_nothing(store):
    """The second of two submissions with one id is told of the first, in whatever state it is."""
    store.create([new_job("a", args=[1])])

    again = store.create([new_job("a", args=[2], queue="other")])

    assert [(each.id, each.is_new, each.state) for each in again] == [("a", False, State.PENDING)]
    assert (get(store, "a").message.args, get(store, "a").queue) == ([1], "default")
    assert counts(store) == {"default": {"pending": 1}}


def test_creating_an_ended_job_again_tells_its_state(store):
    """An id that was used stays used as long as the record is kept."""
    job_id, token = running(store)
    settle(store, job_id, token)

    (again,) = store.create([new_job(job_id)])
    assert (job_id, False, State.COMPLETED) == (again.id, again.is_new, again.state)
    assert outbox(store) == set()


def test_one_call_may_name_an_id_twice(store):
    """Within one call too, the first wins."""
    created = store.create([new_job("a"), new_job("b"), new_job("a")])

    assert [answer.is_new for answer in created] == [True, True, False]
    assert counts(store) == {"default": {"pending": 2}}


def test_empty_lists_are_fine(store):
    """Every call that takes a list takes an empty one."""
    assert store.create([]) == []
    assert store.claim("w1", "w1", []) == []
    assert store.settle([]) == []
    assert store.get([]) == []
    assert store.cancel([], 1) == []
    store.withdraw([])
    store.mark_published([])
    store.declare([], [])


def test_an_adopted_job_keeps_its_attempts_and_time(store):
    """A record rebuilt from a message goes on counting where the message was."""
    submitted_ms = now_ms() - HOUR_MS
    store.create([new_job("a", attempts_made=2, created_at_ms=submitted_ms)])
    heartbeat(store)

    assert claim(store, "a", 1).kind == "duplicate"
    assert claim(store, "a", 3).kind == "run"
    assert (get(store, "a").attempt, get(store, "a").created_at) == (3, submitted_ms)


def test_a_producers_clock_that_is_ahead_is_not_believed(store):
    """No job is submitted in the future."""
    store.create([new_job("a", created_at_ms=now_ms() + HOUR_MS)])

    assert get(store, "a").created_at < now_ms() + HOUR_MS / 2


def test_a_pending_job_is_in_the_outbox_until_it_is_published(store):
    """Recorded, then confirmed: only what lies between is in the outbox."""
    job_id, other = pending(store), pending(store)

    store.mark_published([(job_id, LATER_MS)])
    store.mark_published([(job_id, LATER_MS), ("unheard-of", LATER_MS)])

    assert outbox(store) == {other}


def test_a_confirm_is_about_the_message_that_was_recorded_before_it(store):
    """A job that was cancelled and retried since has another one to be confirmed."""
    (created,) = store.create([new_job("a")])
    store.cancel(["a"], HOUR_MS)
    poll(lambda: now_ms() > created.recorded_at_ms)
    (job,) = store.retry_sources(["a"])
    store.retry([RetryRequest("a", job.attempts_made, job.body)])

    store.mark_published([("a", created.recorded_at_ms)])

    assert outbox(store) == {"a"}


def test_unpublished_gives_the_message_and_starts_its_time_anew(store):
    """Of two that look at once, one gets a job; the next look is `older_than_ms` later."""
    job = new_job("a", args=[1])
    store.create([job])

    (ready,) = store.unpublished(0, 10)

    assert ("a", "default", job.body, 1) == (ready.id, ready.queue, ready.body, ready.attempt)
    assert 0 <= ready.now_ms - ready.due_at_ms < 60_000
    assert store.unpublished(HOUR_MS, 10) == []


def test_unpublished_gives_at_most_its_limit(store):
    """A long outbox comes in parts, the oldest first."""
    store.create([new_job(f"job-{number}") for number in range(5)])

    assert len(store.unpublished(0, 3)) == 3


def test_a_claimed_job_leaves_the_outbox(store):
    """A message that was claimed was published, whether that was marked or not."""
    running(store)

    assert outbox(store) == set()


def test_a_job_that_nobody_had_confirmed_is_told_as_such(store):
    """To whoever asks for it again, by its id or by what it is like; its message can be had then."""
    unique = Unique(lock="l", lock_ms=HOUR_MS, policy="existing")
    store.create([new_job("a", unique=unique)])

    again = store.create([new_job("a"), new_job("b", unique=unique)])

    assert [(each.id, each.is_new, each.is_unconfirmed) for each in again] == [
        ("a", False, True)
    ] * 2
    assert outbox(store) == {"a"}
    (ready,) = store.unconfirmed(["a", "b"])
    assert (ready.id, ready.queue, ready.attempt) == ("a", "default", 1)
    store.mark_published([("a", ready.now_ms)])
    assert [each.is_unconfirmed for each in store.create([new_job("a")])] == [False]
    assert store.unconfirmed(["a"]) == []


def test_a_job_that_needs_no_confirm_is_not_told_as_lacking_one(store):
    """It waits for its time, or runs, or has ended; or it was refused for another's sake."""
    unique = Unique(lock="l", lock_ms=HOUR_MS, policy="reject")
    scheduled, rejecting = pending(store, delay_ms=HOUR_MS), pending(store, unique=unique)
    runs, token = running(store)
    settle(store, ended := running(store)[0], token + 1)

    again = store.create([*map(new_job, (scheduled, runs, ended)), new_job(unique=unique)])

    assert [(each.id, each.is_unconfirmed) for each in again] == [
        (each, False) for each in (scheduled, runs, ended, rejecting)
    ]


def test_a_job_that_has_not_replaced_another_yet_is_told_as_such(store):
    """Whoever asks for it again sees to it then."""
    unique = Unique(lock="l", lock_ms=HOUR_MS, policy="replace")
    store.create([new_job("a", unique=unique)])
    jobs = [new_job("b", unique=unique), new_job("b", unique=unique)]

    assert [each.replaces for each in store.create(jobs)] == [True, True]
    store.replace(["b"])
    assert [each.replaces for each in store.create(jobs[:1])] == [False]
