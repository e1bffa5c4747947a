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
    assert ("failed", "timeout") == (job.state, job.error.reason)
    assert "JobTimeout" == job.error.type
    assert yard.events(seen, handle.id)
    properties, _ = yard.dead_letter()
    assert "timeout" == properties.headers["taskyard-reason"]


def test_a_timeout_uses_up_a_retry(yard):
    """Each attempt has the whole limit."""
    handle = yard.submit(tasks.wait_at, yard.new_gate(), timeout_s=0.5, max_retries=1)

    job = yard.ended(handle.id)
    assert ["timeout", "timeout"] == [attempt.error.reason for attempt in job.attempts]
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
        assert ("failed", "timeout") == (job.state, job.error.reason)
        yard.open(gate)
        assert gate == neighbour.get(timeout=30)
        poll(lambda: worker.children() and worker.children() != [before])
        assert 1 == yard.submit(tasks.echo, 1).get(timeout=30)
        assert worker.metric("taskyard_child_exits_total", reason="retired") == 1


def test_a_task_that_holds_the_interpreter_is_killed(make_yard):
    """Not even the heartbeat runs then: the supervisor ends the child, and the job is recovered."""
    yard = make_yard(LEASE_S="8")  # long enough for the supervisor to be first
    with yard.running(yard.worker(), yard.scheduler()):
        handle = yard.submit(tasks.hold_interpreter, 120, timeout_s=0.5, max_retries=0)

        job = yard.ended(handle.id)
        assert ("failed", "timeout") == (job.state, job.error.reason)
        assert 1 == yard.submit(tasks.echo, 1).get(timeout=30)


@pytest.mark.parametrize("task", [tasks.wait_at, tasks.wait_at_later])
def test_a_running_job_is_cancelled(yard, task):
    """Its task is interrupted, and it does not run again."""
    handle = yard.submit(task, yard.new_gate(), max_retries=5)
    yard.await_event("waits", handle.id)

    assert handle.cancel() is False
    job = yard.ended(handle.id)
    assert "cancelled" == job.state
    assert ["cancelled"] == [attempt.outcome for attempt in job.attempts]


def test_a_cancelled_task_that_returns_has_completed(yard):
    """The cancellation came too late for it."""
    handle = yard.submit(tasks.clean_up, yard.new_gate())
    yard.await_event("waits", handle.id)

    handle.cancel()
    assert "cleaned up" == handle.get(timeout=30)


def test_a_cancelled_task_that_does_not_stop_costs_its_process(make_yard):
    """After a grace its child is replaced."""
    yard = make_yard()
    worker = yard.worker()
    with yard.running(worker):
        handle = yard.submit(tasks.sleep, 60)
        yard.await_event("sleeps", handle.id)

        handle.cancel()
        assert "cancelled" == yard.ended(handle.id).state
        assert 1 == yard.submit(tasks.echo, 1).get(timeout=30)


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
        assert [later.id] == [event.job_id for event in yard.events("ran")]
    assert {"cancelled": 2, "completed": 1} == yard.states([scheduled.id, pending.id, later.id])


def test_an_expired_job_never_starts(make_yard):
    """Its time passes while no worker is there."""
    yard = make_yard()
    expiring = yard.submit(tasks.note, expires_s=0.05)
    staying = yard.submit(tasks.note, expires_s=60)
    created = yard.job(expiring.id).created_at
    poll(lambda: yard.job(yard.submit(tasks.note, delay_s=60).id).created_at > created + 100)

    with yard.running(yard.worker()):
        assert "expired" == yard.ended(expiring.id).state
        assert staying.get(timeout=30) is None
    assert [staying.id] == [event.job_id for event in yard.events("ran")]
