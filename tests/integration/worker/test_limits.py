"""Time limits, cancellation and expiry of jobs, also of tasks that do not react."""

import pytest

from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    """A yard whose tasks have time to stop, however slow the machine."""
    yard = make_yard(HARD_LIMIT_GRACE_S="20")
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard


@pytest.mark.parametrize(
    ("task", "seen"),
    [
        (tasks.wait_at, "interrupted-by-JobTimeout"),
        (tasks.wait_at_later, "interrupted-by-CancelledError"),
    ],
)
def test_a_task_past_its_limit_is_interrupted(yard, task, seen):
    """It can clean up, and then the attempt has failed."""
    handle = yard.submit(task, yard.new_gate(), timeout_s=0.5, max_retries=0)

    job = yard.ended(handle.id)
    assert (job.state, job.error.reason) == ("failed", "timeout")
    assert job.error.type == "JobTimeout"
    assert yard.events(seen, handle.id)
    properties, _ = yard.dead_letter()
    assert properties.headers["taskyard-reason"] == "timeout"


def test_a_timeout_that_hits_a_destructor_comes_again(make_yard):
    """Python swallows it there; the job ends by it all the same, and its process and neighbour live on."""
    yard = make_yard(HARD_LIMIT_GRACE_S="60")
    worker = yard.worker()
    with yard.running(worker):
        before = worker.children()
        gate = yard.new_gate()
        neighbour = yard.submit(tasks.wait_at, gate)
        yard.await_event("waits", neighbour.id)
        handle = yard.submit(
            tasks.swallow_then_wait_at, yard.new_gate(), timeout_s=0.5, max_retries=0
        )

        job = yard.ended(handle.id)
        assert (job.state, job.error.reason) == ("failed", "timeout")
        assert job.error.type == "JobTimeout"
        seen = [event.what for event in yard.events(job_id=handle.id)]
        assert seen == ["swallowed", "waits", "interrupted-by-JobTimeout"]
        yard.open(gate)
        assert neighbour.get(timeout=30) == gate
        assert worker.children() == before
        yard.dead_letter()


def test_a_timeout_uses_up_a_retry(yard):
    """Each attempt has the whole limit."""
    handle = yard.submit(tasks.wait_at, yard.new_gate(), timeout_s=0.5, max_retries=1)

    job = yard.ended(handle.id)
    assert [attempt.error.reason for attempt in job.attempts] == ["timeout", "timeout"]
    yard.dead_letter()


@pytest.mark.parametrize("task", [tasks.sleep, tasks.stubborn, tasks.stubborn_later])
def test_a_task_that_does_not_stop_costs_its_process(make_yard, task):
    """The job ends in time, its neighbours finish, and the worker is whole again."""
    yard = make_yard()
    worker = yard.worker()
    with yard.running(worker):
        (before,) = worker.children()
        gate = yard.new_gate()
        neighbour = yard.submit(tasks.wait_at, gate)
        yard.await_event("waits", neighbour.id)
        argument = 60 if task is tasks.sleep else yard.new_gate()
        handle = yard.submit(task, argument, timeout_s=0.5, max_retries=0)

        job = yard.ended(handle.id)
        assert (job.state, job.error.reason) == ("failed", "timeout")
        yard.open(gate)
        assert neighbour.get(timeout=30) == gate
        poll(lambda: worker.children() and worker.children() != [before])
        assert yard.submit(tasks.echo, 1).get(timeout=30) == 1
        assert worker.metric("taskyard_child_exits_total", reason="retired") == 1


def test_a_task_that_holds_the_interpreter_is_killed(make_yard):
    """Not even the heartbeat runs then: the supervisor ends the child, and the job is recovered."""
    yard = make_yard(LEASE_S="8")  # long enough for the supervisor to be first
    with yard.running(yard.worker(), yard.scheduler()):
        handle = yard.submit(tasks.hold_interpreter, 120, timeout_s=0.5, max_retries=0)

        job = yard.ended(handle.id)
        assert (job.state, job.error.reason) == ("failed", "timeout")
        assert yard.submit(tasks.echo, 1).get(timeout=30) == 1


@pytest.mark.parametrize("task", [tasks.wait_at, tasks.wait_at_later])
def test_a_running_job_is_cancelled(yard, task):
    """Its task is interrupted, and it does not run again."""
    handle = yard.submit(task, yard.new_gate(), max_retries=5)
    yard.await_event("waits", handle.id)

    assert handle.cancel() is False
    job = yard.ended(handle.id)
    assert job.state == "cancelled"
    assert [attempt.outcome for attempt in job.attempts] == ["cancelled"]


def test_a_cancelled_task_that_returns_has_completed(yard):
    """The cancellation came too late for it."""
    handle = yard.submit(tasks.clean_up, yard.new_gate())
    yard.await_event("waits", handle.id)

    handle.cancel()
    assert handle.get(timeout=30) == "cleaned up"


def test_a_cancelled_task_that_does_not_stop_costs_its_process(make_yard):
    """After a grace its child is replaced."""
    yard = make_yard()
    worker = yard.worker()
    with yard.running(worker):
        handle = yard.submit(tasks.sleep, 60)
        yard.await_event("sleeps", handle.id)

        handle.cancel()
        assert yard.ended(handle.id).state == "cancelled"
        assert yard.submit(tasks.echo, 1).get(timeout=30) == 1


def test_jobs_that_wait_are_cancelled_at_once(make_yard):
    """Neither a scheduled nor a pending one ever starts."""
    yard = make_yard()
    scheduled = yard.submit(tasks.note, delay_s=0.3)
    pending = yard.submit(tasks.note)

    assert scheduled.cancel() is True
    assert pending.cancel() is True
    with yard.running(yard.worker(), yard.scheduler()):
        later = yard.submit(tasks.note, delay_s=0.5)
        assert later.get(timeout=30) is None
        assert [event.job_id for event in yard.events("ran")] == [later.id]
    assert yard.states([scheduled.id, pending.id, later.id]) == {"cancelled": 2, "completed": 1}


def test_an_expired_job_never_starts(make_yard):
    """Its time passes while no worker is there."""
    yard = make_yard()
    expiring = yard.submit(tasks.note, expires_s=0.05)
    staying = yard.submit(tasks.note, expires_s=60)
    created = yard.job(expiring.id).created_at
    poll(lambda: yard.job(yard.submit(tasks.note, delay_s=60).id).created_at > created + 100)

    with yard.running(yard.worker()):
        assert yard.ended(expiring.id).state == "expired"
        assert staying.get(timeout=30) is None
    assert [event.job_id for event in yard.events("ran")] == [staying.id]
