"""Workers that die, freeze, are stopped or replaced: their jobs, and only theirs, run elsewhere or again."""

import os
import signal
import threading
import time
from functools import partial

import psutil
import pytest

from taskyard.errors import TaskyardError
from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll
from tests.yard import kill


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard(LEASE_S="60", HEARTBEAT_S="0.3")
    with yard.running(yard.scheduler()):
        yield yard


@pytest.fixture
def ledger(make_yard):
    """A ledger with a yard and a scheduler of its own: its counts have to agree."""
    yard = make_yard()
    with yard.running(yard.scheduler()):
        yield Ledger(yard), yard


def waiting_jobs(yard, count):
    """Submit jobs that wait at one gate, and return them and the gate once all run."""
    gate = yard.new_gate()
    handles = [yard.submit(tasks.wait_at, gate) for _ in range(count)]
    for handle in handles:
        yard.await_event("waits", handle.id)
    return handles, gate


def second_start(yard, handle):
    """Return when and where a job's task began for the second time, waiting for it."""
    return poll(lambda: yard.events("waits", handle.id)[1:])[0]


def has_completed(yard, ids):
    """Tell whether all but a few that a crash takes along have completed."""
    return yard.states(ids)["completed"] >= len(ids) - 8


# Children


def test_a_killed_childs_jobs_run_again_at_once(yard):
    """Long before their lease ends, one by one in a process of their own; the other child's jobs go on."""
    worker = yard.worker(WORKER_PROCESSES="2")
    with yard.running(worker):
        handles, gate = waiting_jobs(yard, 4)
        pid_of = {handle.id: yard.await_event("waits", handle.id).pid for handle in handles}
        victim = pid_of[handles[0].id]

        killed_at = time.time()
        kill(victim)
        hit = [handle for handle in handles if pid_of[handle.id] == victim]
        poll(lambda: any(len(yard.events("waits", handle.id)) == 2 for handle in hit))
        yard.open(gate)
        again = [second_start(yard, handle) for handle in hit]

        assert all(event.time - killed_at < 30 for event in again)  # LEASE_S is 60
        for handle in handles:
            assert handle.get(timeout=30) == gate
            attempts = handle.document()["attempts"]
            if handle in hit:
                lost, completed = attempts
                assert lost["outcome"] == "lost"
                assert "SIGKILL" in lost["error"]["message"]
                assert lost["error"]["reason"] == "worker_lost"
                assert completed["outcome"] == "completed"
            else:
                assert [attempt["outcome"] for attempt in attempts] == ["completed"]
        assert len(hit) == 2
        poll(lambda: len(worker.children()) == 2)
        assert worker.metric("taskyard_child_exits_total", reason="SIGKILL") == 1


@pytest.mark.parametrize(("how", "told"), [("exit", "exit code 7"), ("segfault", "SIGSEGV")])
def test_the_way_a_child_ended_is_told_on_its_jobs(yard, how, told):
    """By a signal or with a code."""
    with yard.running(yard.worker()):
        handle = yard.submit(tasks.crash, how, 1)

        assert handle.get(timeout=30) == "survived"
        lost, _ = handle.document()["attempts"]
        assert told in lost["error"]["message"]


def test_a_lost_worker_uses_up_no_retry(yard):
    """It was not the job's failure; MAX_CRASHES bounds it instead."""
    with yard.running(yard.worker()):
        handle = yard.submit(tasks.crash, "exit", 2, max_retries=0)

        assert handle.get(timeout=30) == "survived"
        assert [attempt["outcome"] for attempt in handle.document()["attempts"]] == [
            "lost",
            "lost",
            "completed",
        ]


def test_a_job_that_kills_its_process_each_time_is_a_dead_letter(ledger):
    """After MAX_CRASHES of its starts alone, with the reason; all others complete meanwhile."""
    ledger, yard = ledger
    with yard.running(yard.worker(WORKER_PROCESSES="2")):
        deadly = yard.submit(tasks.crash, "kill", max_retries=10)
        ledger.add(deadly.id)
        others = []
        while yard.job(deadly.id).state != "failed":
            some = yard.submit_many(tasks.echo, 20, 1)
            others += some
            poll(partial(has_completed, yard, some))
        ledger.add(*others)

        assert ledger.settle() == {"completed": len(others), "failed": 1}
        job = yard.job(deadly.id)
        assert job.error.reason == "crash_loop"
        assert job.crashes == 3
        starts = len(
            job.attempts
        )  # the first may have had others beside it, and then counts as no crash
        assert starts in {3, 4}
        assert [attempt.outcome for attempt in job.attempts] == ["lost"] * starts
        assert len(yard.events("crashes", deadly.id)) == starts
        letter, _ = yard.dead_letter()
        assert deadly.id == letter.message_id
        assert letter.headers["taskyard-reason"] == "crash_loop"


def test_a_job_that_holds_the_interpreter_costs_its_process(make_yard):
    """Not even a heartbeat comes from there, so its supervisor ends it; the job is recovered."""
    yard = make_yard(MAX_CRASHES="1", LEASE_S="5")
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        (child,) = worker.children()
        handle = yard.submit(tasks.hold_interpreter, 60, timeout_s=1, max_retries=0)

        job = yard.ended(handle.id)
        assert job.state == "failed"
        assert job.error.reason in ("timeout", "crash_loop")
        assert job.error.reason == yard.dead_letter()[0].headers["taskyard-reason"]
        poll(lambda: child.pid not in [each.pid for each in worker.children()])
        assert yard.submit(tasks.add, 1, 2).get(timeout=30) == 3


def test_a_child_is_replaced_after_so_many_jobs(make_yard):
    """In good order: no job fails or runs twice."""
    yard = make_yard(MAX_JOBS_PER_CHILD="100")
    ledger = Ledger(yard)
    worker = yard.worker(WORKER_PROCESSES="2")
    with yard.running(worker, yard.scheduler()):
        ledger.add(*yard.submit_many(tasks.who, 1_500))

        assert ledger.settle() == {"completed": 1_500}
        poll(lambda: worker.metric("taskyard_child_exits_total", reason="retired") >= 2)
        assert worker.metric("taskyard_child_exits_total", reason="error") == 0


def test_a_child_that_has_grown_is_replaced(make_yard):
    """Past MAX_CHILD_RSS."""
    yard = make_yard(MAX_CHILD_RSS="200")
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        first = yard.submit(tasks.allocate, 200).get(timeout=30)
        poll(lambda: [child.pid for child in worker.children()] not in ([first], []))
        assert yard.submit(tasks.allocate, 1).get(timeout=30) != first


# Supervisors


def test_children_do_not_outlive_their_supervisor(yard):
    """They notice, hand back what they run, and another worker has it in well under a lease."""
    worker = yard.worker(SHUTDOWN_GRACE="0.3", WORKER_PROCESSES="2")
    with yard.running(worker):
        handles, gate = waiting_jobs(yard, 4)
        children = worker.children()

        os.kill(worker.pid, signal.SIGKILL)

        psutil.wait_procs(children, timeout=30)
        assert not any(child.is_running() for child in children)
    with yard.running(yard.worker(WORKER_PROCESSES="2")):
        yard.open(gate)
        for handle in handles:
            assert handle.get(timeout=30) == gate
            assert len(yard.job(handle.id).attempts) == 1  # handing back costs none


def test_a_worker_that_is_killed_whole_is_recovered_after_its_lease(make_yard):
    """As with a machine that is gone: nobody tells, and when the lease is over it runs again."""
    yard = make_yard(LEASE_S="4")
    with yard.running(yard.scheduler()):
        worker = yard.worker(WORKER_PROCESSES="2")
        with yard.running(worker):
            handles, gate = waiting_jobs(yard, 4)
            queued = yard.submit_many(tasks.echo, 20, 1)
            killed_at = time.time()
            worker.kill()
        yard.open(gate)
        with yard.running(yard.worker(WORKER_PROCESSES="2")):
            for handle in handles:
                assert handle.get(timeout=30) == gate
                assert yard.events("waits", handle.id)[-1].time - killed_at < 30
                assert [a.outcome for a in yard.job(handle.id).attempts] == ["lost", "completed"]
            poll(lambda: yard.states(queued) == {"completed": 20})


def test_a_cancelled_job_does_not_run_from_a_paused_queue(make_yard):
    """Its machine was lost, so its message is in the queue again: its record stays until that has come."""
    yard = make_yard(LEASE_S="3", HEARTBEAT_S="0.3")
    with yard.running(yard.scheduler()):
        worker = yard.worker()
        with yard.running(worker):
            ((handle,), _) = waiting_jobs(yard, 1)
            yard.store.pause("queue", yard.queue, {"by": "test"})
            worker.kill()
            yard.store.cancel([handle.id], 1000)
            assert yard.ended(handle.id).state == "cancelled"

        assert [each.verdict for each in yard.store.remove([handle.id])] == ["too_early"]
        yard.store.resume("queue", yard.queue)
        with yard.running(yard.worker()):
            poll(lambda: yard.store.remove([handle.id])[0].verdict == "removed")
            yard.come_to_rest()
        assert len(yard.events("waits", handle.id)) == 1
        assert yard.job(handle.id) is None


def test_a_frozen_worker_is_fenced_off(make_yard):
    """Another runs its jobs; what it says when it wakes up is refused and counted."""
    yard = make_yard(LEASE_S="4")
    frozen = yard.worker()
    with yard.running(frozen, yard.scheduler()):
        handles, gate = waiting_jobs(yard, 2)
        behind = [yard.submit(tasks.note) for _ in range(2)]
        frozen.pause()

        with yard.running(yard.worker()):
            again = [second_start(yard, handle) for handle in handles]
            yard.open(gate)
            assert [handle.get(timeout=30) for handle in handles] == [gate, gate]
            before = [yard.job(handle.id) for handle in handles]
            frozen.resume()

            poll(lambda: frozen.metric("taskyard_stale_settles_total") == 2)
            assert [yard.job(handle.id) for handle in handles] == before
            assert [event.attempt for event in again] == [2, 2]
            for job in before:
                assert [attempt.outcome for attempt in job.attempts] == ["lost", "completed"]
            for handle in behind:
                handle.get(timeout=30)
                assert len(yard.events("ran", handle.id)) == 1


def test_a_frozen_worker_stops_what_it_no_longer_holds(make_yard):
    """When it wakes up while another runs its job, its own attempt is ended and counted."""
    yard = make_yard(LEASE_S="4")
    frozen = yard.worker()
    with yard.running(frozen, yard.scheduler()):
        handles, gate = waiting_jobs(yard, 2)
        frozen.pause()

        with yard.running(yard.worker()):
            for handle in handles:
                second_start(yard, handle)
            frozen.resume()

            poll(lambda: frozen.metric("taskyard_leases_lost_total") == 2)
            yard.open(gate)
            for handle in handles:
                assert handle.get(timeout=30) == gate
                assert [a.outcome for a in yard.job(handle.id).attempts] == ["lost", "completed"]


def test_a_frozen_worker_may_overtake_itself(make_yard):
    """Its job is taken from it and comes back to it; what its first attempt says counts for nothing."""
    yard = make_yard(LEASE_S="4")
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        (handle,), gate = waiting_jobs(yard, 1)
        worker.pause()
        poll(lambda: "lost" in [attempt.outcome for attempt in yard.job(handle.id).attempts])
        yard.open(gate)
        worker.resume()

        assert handle.get(timeout=30) == gate
        assert [a.outcome for a in yard.job(handle.id).attempts] == ["lost", "completed"]
        poll(lambda: worker.metric("taskyard_stale_settles_total") == 1)


# Stops


def test_a_stopping_worker_finishes_what_it_can(yard):
    """What runs may end within the grace; what waits behind it is back in its queue."""
    worker = yard.worker(SHUTDOWN_GRACE="20")
    with yard.running(worker):
        handles, gate = waiting_jobs(yard, 2)
        queued = [yard.submit(tasks.note) for _ in range(6)]
        worker.send(signal.SIGTERM)
        poll(lambda: yard.ready_messages() == 6)
        yard.open(gate)

        poll(lambda: not worker.is_running)
        assert "exited with 0" in worker.obituary()
        for handle in handles:
            assert handle.state == "completed"
    assert yard.states([handle.id for handle in queued]) == {"pending": 6}
    with yard.running(yard.worker()):
        for handle in queued:
            handle.get(timeout=30)
            assert len(yard.job(handle.id).attempts) == 1


def test_a_second_request_ends_the_grace(yard):
    """The operator does not want to wait: the jobs are interrupted and handed back."""
    worker = yard.worker(SHUTDOWN_GRACE="60")
    with yard.running(worker):
        handles, gate = waiting_jobs(yard, 2)
        worker.send(signal.SIGTERM)
        poll(lambda: any("leaving" in problem for problem in worker.problems()))
        worker.send(signal.SIGTERM)

        poll(lambda: not worker.is_running)
        for handle in handles:
            assert len(yard.events("interrupted-by-WorkerStopping", handle.id)) == 1
            assert handle.state == "pending"
    yard.open(gate)
    with yard.running(yard.worker()):
        for handle in handles:
            handle.get(timeout=30)


def test_a_request_to_all_processes_at_once_is_one_request(yard):
    """As by systemd, which sends SIGTERM to the children too; they keep their grace."""
    worker = yard.worker(SHUTDOWN_GRACE="20")
    with yard.running(worker):
        handles, gate = waiting_jobs(yard, 2)
        for pid in (worker.pid, *(child.pid for child in worker.children())):
            os.kill(pid, signal.SIGTERM)
        poll(lambda: any("leaving" in problem for problem in worker.problems()))
        yard.open(gate)

        poll(lambda: not worker.is_running)
        assert [handle.state for handle in handles] == ["completed", "completed"]


def test_what_does_not_end_within_the_grace_is_handed_back(yard):
    """Interrupted or not, it is ready again at once and has lost no attempt."""
    worker = yard.worker(SHUTDOWN_GRACE="0.5")
    with yard.running(worker):
        reacts = yard.submit(tasks.wait_at, "never-open")
        asleep = yard.submit(tasks.sleep, 4)
        yard.await_event("waits", reacts.id)
        yard.await_event("sleeps", asleep.id)

        worker.stop()

        assert "exited with 0" in worker.obituary()
        assert yard.states([reacts.id, asleep.id]) == {"pending": 2}
        assert len(yard.events("interrupted-by-WorkerStopping", reacts.id)) == 1
    reacts.cancel()
    with yard.running(yard.worker()):
        asleep.get(timeout=30)
        assert [attempt.outcome for attempt in yard.job(asleep.id).attempts] == ["completed"]


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2, 0.4, 0.7])
def test_a_worker_can_be_stopped_while_it_starts(yard, delay_s):
    """At any moment of its start: it ends soon, and leaves no process."""
    worker = yard.worker(WORKER_PROCESSES="3")
    worker.start()
    try:
        poll(lambda: psutil.Process(worker.pid).num_fds() > 3)
        if delay_s:
            threading.Event().wait(delay_s)
        children = worker.children()
        worker.send(signal.SIGTERM)

        poll(lambda: not worker.is_running)
        assert not any(child.is_running() for child in children)
    finally:
        worker.kill()


@pytest.mark.slow
def test_rolling_restarts_under_load_lose_nothing(make_yard):
    """Two workers take turns to restart while three thousand jobs come in: all complete."""
    yard = make_yard(SHUTDOWN_GRACE="10", WORKER_THREADS="4")
    ledger = Ledger(yard)
    workers = [yard.worker(), yard.worker()]
    submitted = threading.Event()

    def submit_all():
        for n in range(300):
            kind, args = ((tasks.busy, [0.01]), (tasks.echo, [n]), (tasks.flaky, [1]))[n % 3]
            try:
                ledger.add(*yard.submit_many(kind, 10, *args))
            except TaskyardError:
                submitted.set()
                raise
        submitted.set()

    with yard.running(*workers, yard.scheduler()):
        producer = threading.Thread(target=submit_all)
        producer.start()
        restarts = 0
        while not submitted.is_set() or restarts < 4:
            workers[restarts % 2].restart()
            restarts += 1
        producer.join()

        assert ledger.settle(timeout_s=60) == {"completed": 3_000}
        assert restarts >= 4
