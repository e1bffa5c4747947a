"""Limits, pauses and unique jobs on real workers: what starts when, and what waits without a slot."""

import hashlib

import pytest

from taskyard.errors import NotUnique
from taskyard.policy.limits import limits
from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    """Two children with four slots each."""
    yard = make_yard()
    worker = yard.worker(WORKER_PROCESSES="2", WORKER_THREADS="4")
    with yard.running(worker, yard.scheduler()):
        poll(lambda: "test.in_pairs" in yard.store.limits())
        yield yard


def most_at_a_time(yard, ids):
    """Return how many of the jobs ran at a time at most, by what they told."""
    running = most = 0
    for event in sorted(yard.events()):
        if event.job_id in ids:
            running += {"begins": 1, "ends": -1}.get(event.what, 0)
            most = max(most, running)
    return most


def test_no_more_run_at_a_time_than_the_limit_says(yard):
    """Over both children; each runs once, at its first attempt, and a slot that is freed is used at once."""
    ids = yard.submit_many(tasks.in_pairs, 60)

    poll(lambda: yard.states(ids) == {"completed": 60})
    assert most_at_a_time(yard, set(ids)) == 2
    assert {yard.job(each).attempt for each in ids} == {1}


def test_a_limited_job_holds_no_slot(yard):
    """While one account is busy with a dozen jobs waiting, others are served."""
    gate = yard.new_gate()
    busy = [yard.submit(tasks.one_an_account, "a", gate).id]
    yard.await_event("begins", busy[0])  # of two that come together either child's may be the first
    busy += [yard.submit(tasks.one_an_account, "a", gate).id for _ in range(11)]

    other = yard.submit(tasks.one_an_account, "b")
    assert other.get(timeout=30) == "b"
    poll(lambda: yard.states(busy) == {"running": 1, "scheduled": 11})
    assert {yard.job(each).reason for each in busy[1:]} == {"limited"}

    yard.open(gate)
    poll(lambda: yard.states(busy) == {"completed": 12})
    assert most_at_a_time(yard, set(busy)) == 1
    told = [event.job_id for event in sorted(yard.events("begins")) if event.job_id in busy]
    assert busy == told  # in the order of their submission


def test_a_waiting_job_of_a_limit_can_be_cancelled(yard):
    """It leaves the line, and the others move up."""
    gate = yard.new_gate()
    first, second, third = (yard.submit(tasks.one_an_account, "c", gate) for _ in range(3))
    yard.await_event("begins", first.id)
    poll(lambda: "scheduled" == second.state == third.state)

    assert second.cancel()
    yard.open(gate)
    assert third.get(timeout=30) == "c"
    assert yard.events("begins", second.id) == []


def test_no_more_start_within_a_time_than_the_rate_says(yard):
    """In no window of two seconds there are more than five starts."""
    ids = yard.submit_many(tasks.five_in_two_seconds, 13)

    poll(lambda: yard.states(ids) == {"completed": 13})
    starts = sorted(yard.job(each).started_at for each in ids)
    assert all(late - early >= 2_000 for early, late in zip(starts, starts[5:], strict=False))


def test_limits_change_while_jobs_wait(yard):
    """What waits goes on as soon as the new limit lets it."""
    gate = yard.new_gate()
    ids = [yard.submit(tasks.one_an_account, "d", gate).id for _ in range(4)]
    poll(lambda: yard.states(ids) == {"running": 1, "scheduled": 3})

    yard.store.set_limits("test.one_an_account", limits(3, None))
    poll(lambda: yard.states(ids) == {"running": 3, "scheduled": 1})
    yard.store.set_limits("test.one_an_account", limits(None, None))
    poll(lambda: yard.states(ids) == {"running": 4})

    yard.store.set_limits("test.one_an_account", None)
    assert yard.store.limits()["test.one_an_account"].concurrency == 1
    yard.open(gate)
    poll(lambda: yard.states(ids) == {"completed": 4})


def test_a_paused_task_lets_others_pass(yard):
    """Its jobs wait aside and run when it is resumed, in order."""
    yard.store.pause("task", "test.note", {"reason": "not now"})
    held = yard.submit_many(tasks.note, 5)
    assert yard.submit(tasks.add, 1, 2).get(timeout=30) == 3
    poll(lambda: yard.states(held) == {"scheduled": 5})
    assert {yard.job(each).reason for each in held} == {"paused"}

    yard.store.resume("task", "test.note")
    poll(lambda: yard.states(held) == {"completed": 5})


def test_a_paused_queue_rests(yard):
    """Nothing of it starts, what runs goes on, and its messages stay in RabbitMQ."""
    gate = yard.new_gate()
    running = yard.submit(tasks.wait_at, gate)
    yard.await_event("waits", running.id)

    yard.store.pause("queue", yard.queue, {"reason": "not now"})
    ids = yard.submit_many(tasks.note, 5)
    other = yard.submit(tasks.add, 1, 2, queue=tasks.QUEUE)
    assert other.get(timeout=30) == 3
    poll(lambda: yard.ready_messages() == 5)
    yard.open(gate)
    assert running.get(timeout=30) == gate
    assert yard.states(ids) == {"pending": 5}

    yard.store.resume("queue", yard.queue)
    poll(lambda: yard.states(ids) == {"completed": 5})


@pytest.mark.slow
def test_limits_and_pauses_survive_the_end_of_everything(make_yard):
    """A worker that dies gives its slots back, and a new worker knows what is paused."""
    yard = make_yard(LEASE_S="4", HEARTBEAT_S="0.3")
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        gate = yard.new_gate()
        ids = [yard.submit(tasks.one_an_account, "e", gate).id for _ in range(3)]
        yard.await_event("begins", ids[0])
        poll(lambda: yard.states(ids) == {"running": 1, "scheduled": 2})
        yard.store.pause("task", "test.note", {"reason": "not now"})
        held = yard.submit(tasks.note)
        poll(lambda: held.state == "scheduled")
        worker.kill()

    with yard.running(yard.worker(), yard.scheduler()):
        yard.open(gate)
        poll(lambda: yard.states(ids) == {"completed": 3})
        assert held.state == "scheduled"
        yard.store.resume("task", "test.note")
        held.get(timeout=30)


def test_unique_jobs_are_one_while_they_live(yard):
    """By the value of their key; when the first has ended, there is room for the next."""
    first = yard.submit(tasks.unique_account, "a", 1, delay_s=60)

    assert first.id == yard.submit(tasks.unique_account, "a", 2).id
    other = yard.submit(tasks.unique_account, "b", 3)
    assert other.get(timeout=30) == 3
    first.cancel()
    assert yard.submit(tasks.unique_account, "a", 4).get(timeout=30) == 4


def test_unique_jobs_may_be_refused(yard):
    """The error names the one that is in the way."""
    first = yard.submit(tasks.rejecting_account, "a", delay_s=60)

    with pytest.raises(NotUnique, match=first.id):
        yard.submit(tasks.rejecting_account, "a")
    first.cancel()


def test_the_name_of_a_limit_tells_no_secret(yard):
    """It is shown to whoever asks why a job waits, who could try all PINs if it were a mere digest."""
    gate = yard.new_gate()
    jobs = [yard.submit(tasks.one_a_card, "4711", gate).id for _ in range(2)]
    poll(lambda: yard.states(jobs) == {"running": 1, "scheduled": 1})

    names = {yard.store.explain(each).limit.key for each in jobs}

    yard.open(gate)
    poll(lambda: yard.states(jobs) == {"completed": 2})
    (name,) = names
    assert len(name) == 64
    assert name != hashlib.sha256(b"4711").hexdigest()
