"""Ageing in a whole system: who has waited long enough starts before those who come then, once."""

from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import metric


def has_risen(yard, job_id):
    risen = yard.store.explain(job_id).risen
    return risen is not None and risen.priority == 9


def raised(yard, schedulers):
    """Return how many copies RabbitMQ has confirmed."""
    name = "taskyard_jobs_raised_total"
    return sum(metric(each, name, queue=yard.queue) for each in schedulers)


def copies(yard):
    """Return how many copies the store knows of."""
    return yard.store.copies().get(yard.queue, 0)


def test_a_job_that_has_waited_overtakes_those_of_a_higher_priority(make_yard):
    """Though these come without an end; two schedulers raise it once a step, and no copy runs."""
    yard = make_yard(WORKER_THREADS="1", PRIORITY_AGING_S="1")
    worker, schedulers = yard.worker(), [yard.scheduler(), yard.scheduler()]
    with yard.running(worker, *schedulers):
        gate = yard.new_gate()
        yard.await_event("waits", yard.submit(tasks.wait_at, gate, priority=9).id)
        before = yard.submit_many(tasks.note, 20, priority=9)
        low = yard.submit(tasks.note, priority=6).id
        poll(lambda: has_risen(yard, low) and copies(yard) == raised(yard, schedulers))
        after = yard.submit_many(tasks.note, 20, priority=9)

        yard.open(gate)

        poll(lambda: yard.states([*before, low, *after]) == {"completed": 41})
        order = [event.job_id for event in yard.events("ran")]
        assert order == [*before, low, *after]
        made = raised(yard, schedulers)
        assert 1 <= made <= 3
        poll(lambda: worker.metric("taskyard_messages_skipped_total") == made)
        assert (yard.ready_messages(), copies(yard)) == (0, 0)
        assert yard.job(low).message.priority == 6


def test_copies_that_come_while_the_job_runs_start_nothing(make_yard):
    """To the very worker that runs it; each is counted off."""
    yard = make_yard(WORKER_THREADS="2", PRIORITY_AGING_S="1")
    worker, scheduler = yard.worker(), yard.scheduler()
    with yard.running(scheduler):
        gate = yard.new_gate()
        job_id = yard.submit(tasks.wait_at, gate, priority=8).id
        poll(lambda: has_risen(yard, job_id) and copies(yard) == raised(yard, [scheduler]))
        with yard.running(worker):
            yard.await_event("waits", job_id)
            poll(lambda: worker.metric("taskyard_messages_skipped_total", verdict="leased") == 1)
            counted = copies(yard)
            yard.open(gate)
            yard.ended(job_id)

    assert counted == 0
    assert len(yard.events("waits", job_id)) == 1
