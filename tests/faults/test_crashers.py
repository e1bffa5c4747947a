"""Jobs that kill the process that runs them: they are found by being tried alone, and the others live."""

import signal
from collections import Counter

import pytest

from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll
from tests.yard import kill


@pytest.fixture
def yard(make_yard):
    yard = make_yard(LEASE_S="60")
    with yard.running(yard.scheduler()):
        yield yard


def waiting(yard, count, **fields):
    """Submit jobs that wait at one gate, and return their ids and the gate once all run."""
    gate = yard.new_gate()
    ids = yard.submit_many(tasks.wait_at, count, gate, **fields)
    for job_id in ids:
        yard.await_event("waits", job_id)
    return ids, gate


def started(yard, ids, times):
    """Return those of the jobs that have started so often, or more."""
    starts = Counter(event.job_id for event in yard.events("waits"))
    return [each for each in ids if starts[each] >= times]


def outcomes(yard, job_id):
    """Return how the attempts of a job ended so far."""
    return [attempt.outcome for attempt in yard.job(job_id).attempts if attempt.finished_at]


def completes(yard, job_id):
    """Return how many attempts a job lost before it completed, blamed for none."""
    job = yard.ended(job_id)
    assert (job.state, job.crashes) == ("completed", 0)
    *lost, last = outcomes(yard, job_id)
    assert (set(lost) - {"lost"}, last) == (set(), "completed")
    return len(lost)


@pytest.mark.parametrize("how", ["kill", "segfault", "exit", "exit0", "exit2"])
def test_who_runs_beside_a_crasher_is_not_blamed(yard, how):
    """One crasher and seven others in one child: it is buried, and they complete without a retry."""
    worker = yard.worker(WORKER_THREADS="8")
    with yard.running(worker):
        others, gate = waiting(yard, 7, max_retries=0)
        deadly = yard.submit(tasks.crash, how, max_retries=0).id
        poll(lambda: all(outcomes(yard, each) == ["lost"] for each in (*others, deadly)))
        yard.open(gate)

        job = yard.ended(deadly)
        assert (job.state, job.error.reason, job.crashes) == ("failed", "crash_loop", 3)
        assert outcomes(yard, deadly) == ["lost"] * 4  # the first beside others
        assert [completes(yard, each) for each in others] == [1] * 7
        assert worker.problems() == []


def test_many_crashers_are_found_among_many_others(make_yard):
    """Each takes one child of many jobs along at most; all others complete, blamed for nothing."""
    yard = make_yard(LEASE_S="60")
    ledger = Ledger(yard)
    worker = yard.worker(WORKER_PROCESSES="2", WORKER_THREADS="4")
    with yard.running(worker, yard.scheduler()):
        innocent, deadly = [], []
        for _ in range(6):
            innocent += yard.submit_many(tasks.sleep, 10, 0.05, max_retries=0)
            deadly.append(yard.submit(tasks.crash, max_retries=0).id)
        ledger.add(*innocent, *deadly)

        assert ledger.settle() == {"completed": 60, "failed": 6}
        for job_id in deadly:
            job = yard.job(job_id)
            assert (job.error.reason, job.crashes) == ("crash_loop", 3)
            assert len(job.attempts) <= 4
        for job_id in innocent:
            completes(yard, job_id)
        deaths = worker.metric("taskyard_child_exits_total", reason="SIGKILL")
        assert 6 * 3 <= deaths <= 6 * 4
        poll(lambda: len(worker.children()) == 2)  # nothing is left to be tried alone


def test_other_work_keeps_its_slots_while_suspects_are_tried(yard):
    """A suspect that runs for long has a process of its own; the others wait behind it."""
    worker = yard.worker(WORKER_PROCESSES="2", WORKER_THREADS="2")
    with yard.running(worker):
        suspects, gate = waiting(yard, 4)
        for child in worker.children():
            kill(child.pid)
        tried = poll(lambda: started(yard, suspects, 2), pause_s=0.1)

        others, other_gate = waiting(yard, 4)

        assert yard.states(others) == {"running": 4}
        yard.open(other_gate)
        assert [completes(yard, each) for each in others] == [0] * 4
        assert started(yard, suspects, 2) == tried
        assert len(tried) == 1
        yard.open(gate)
        assert [completes(yard, each) for each in suspects] == [1] * 4


def test_a_suspect_has_its_limits_and_can_be_cancelled(yard):
    """It is stopped at its time limit, and when somebody asks, in its process of its own."""
    with yard.running(yard.worker()):
        (late, unwanted), gate = waiting(yard, 2, timeout_s=60)
        kill(yard.await_event("waits", late).pid)
        (first,) = poll(lambda: started(yard, (late, unwanted), 2), pause_s=0.1)
        yard.client.handle(first).cancel()

        assert yard.ended(first).state == "cancelled"
        yard.open(gate)
        (other,) = {late, unwanted} - {first}
        assert completes(yard, other) == 1


def test_all_jobs_of_a_worker_that_was_killed_run_again_side_by_side(make_yard):
    """Its sixteen jobs are blamed for nothing, and none is tried alone."""
    yard = make_yard(LEASE_S="8")
    worker, other = (yard.worker(WORKER_PROCESSES="2", WORKER_THREADS="8") for _ in range(2))
    with yard.running(worker):
        ids, gate = waiting(yard, 16)
        worker.kill()
    # Both children are there before their jobs come back, and share them.
    with yard.running(other), yard.running(yard.scheduler()):
        poll(lambda: started(yard, ids, 2) == ids, pause_s=0.1)
        assert yard.states(ids) == {"running": 16}
        yard.open(gate)

        assert [completes(yard, each) for each in ids] == [1] * 16


def test_what_a_deploy_cuts_off_runs_again_side_by_side(make_yard):
    """A child that does not end in time is killed by its own supervisor: that is nobody's crash."""
    yard = make_yard(SHUTDOWN_GRACE="0")
    with yard.running(yard.scheduler()):
        worker = yard.worker(WORKER_THREADS="4")
        with yard.running(worker):
            ids, gate = waiting(yard, 4)
            (child,) = worker.children()
            child.suspend()
            worker.send(signal.SIGTERM)
            poll(lambda: not worker.is_running)
        with yard.running(yard.worker(WORKER_THREADS="4")):
            poll(lambda: started(yard, ids, 2) == ids, pause_s=0.1)
            yard.open(gate)

            assert [completes(yard, each) for each in ids] == [1] * 4
