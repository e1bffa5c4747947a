"""RabbitMQ restarts, is killed, raises an alarm, or has its queues changed, while jobs wait and run."""

import threading

import pytest

from taskyard.errors import TaskyardError
from taskyard.message import new_id
from taskyard.rabbitmq.topology import dead_queue, queue_arguments
from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll
from tests.yard import kill, kill_broker


@pytest.fixture
def yard(make_yard, rabbit):
    """A yard of its own; RabbitMQ runs at the end, whatever happened."""
    yard = make_yard()
    with yard.running(yard.scheduler()):
        yield yard
        if not rabbit.is_running:
            rabbit.start()
        rabbit.resume()
        rabbit.wait_ready()


@pytest.mark.parametrize(
    "how",
    [pytest.param("restart", marks=pytest.mark.slow), pytest.param("kill", marks=pytest.mark.slow)],
)
def test_a_broker_that_restarts_loses_nothing(yard, rabbit, how):
    """Running jobs finish and are settled once, queued ones follow, and what was refused leaves no trace."""
    ledger = Ledger(yard)
    worker = yard.worker()
    with yard.running(worker):
        gate = yard.new_gate()
        running = [yard.submit(tasks.wait_at, gate).id for _ in range(2)]
        for each in running:
            yard.await_event("waits", each)
        queued = yard.submit_many(tasks.note, 300)
        failing = yard.submit_many(tasks.flaky, 20, 1, max_retries=1)
        scheduled = [yard.submit(tasks.note, delay_s=1.0).id for _ in range(10)]
        ledger.add(*running, *queued, *failing, *scheduled)

        if how == "kill":
            kill_broker(rabbit)
            with pytest.raises(TaskyardError):
                yard.submit(tasks.note)
            rabbit.start()
            rabbit.wait_ready()
        else:
            rabbit.restart()
        yard.open(gate)
        for _ in range(20):
            poll(lambda: is_accepted(yard, ledger))

        assert ledger.settle() == {"completed": 352}
        for each in running:
            assert len(yard.events("waits", each)) == 1
            assert len(yard.job(each).attempts) == 1
        ran = [event.job_id for event in yard.events("ran")]
        assert len(ran) == len(set(ran)) == 310
        poll(lambda: worker.problems() == [])


@pytest.mark.slow
def test_jobs_that_end_while_the_broker_is_away_are_settled_at_once(yard, rabbit):
    """Outcomes need the store only; even dead letters wait for the broker without loss."""
    with yard.running(yard.worker()):
        gate = yard.new_gate()
        good, bad = yard.submit(tasks.wait_at, gate), yard.submit(tasks.fail_at, gate)
        for each in (good, bad):
            yard.await_event("waits", each.id)
        kill_broker(rabbit)
        yard.open(gate)

        assert good.get(timeout=30) == gate
        assert bad.state == "running"  # until its dead letter is confirmed
        rabbit.start()
        rabbit.wait_ready()
        assert yard.ended(bad.id).state == "failed"
        assert yard.dead_letter()[0].headers["taskyard-reason"] == "retries_exhausted"


def is_accepted(yard, ledger):
    """Submit a job; tell whether it was accepted."""
    job_id = new_id()
    try:
        yard.submit(tasks.echo, 1, id=job_id)
    except TaskyardError:
        ledger.add_unsure(job_id)
        return False
    ledger.add(job_id)
    return True


@pytest.mark.slow
def test_an_alarm_stops_submissions_and_not_the_workers(yard, rabbit):
    """They drain the queue; a failed job waits with its dead letter until the alarm is over."""
    ledger = Ledger(yard)
    ledger.add(*yard.submit_many(tasks.flaky, 30, 1, max_retries=1))
    doomed = yard.submit(tasks.flaky, 9, max_retries=0)
    ledger.add(doomed.id, *yard.submit_many(tasks.echo, 200, 1))
    rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        poll(lambda: not is_accepted(yard, ledger))
        with yard.running(yard.worker()):
            poll(lambda: yard.ready_messages() == 0)
            poll(lambda: yard.events("tries", doomed.id))
            assert doomed.state == "running"
            rabbit.control("set_vm_memory_high_watermark", "0.4")

            states = ledger.settle()
            assert states["failed"] == 1
            assert states["completed"] >= 230
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")


def test_a_letter_that_waits_out_an_alarm_keeps_no_lost_job(make_yard, rabbit):
    """The reclaimer waits for its confirm; it does not take that for a time without the store."""
    yard = make_yard(LEASE_S="3", WORKER_THREADS="1", MAX_CRASHES="1")
    gate = yard.new_gate()
    killed, other = yard.worker(), yard.worker(WORKER_THREADS="2")  # beside others: without blame
    with yard.running(yard.scheduler(), killed, other):
        ids = yard.submit_many(tasks.wait_at, 8, gate)
        poll(lambda: len(yard.events("waits")) == 3)
        waits = yard.events("waits")
        (first,) = (child.pid for child in killed.children())
        (doomed,) = (each.job_id for each in waits if each.pid == first)
        lost = [each.job_id for each in waits if each.pid != first]
        rabbit.control("set_vm_memory_high_watermark", "0.00001")
        try:
            kill(first)  # its job was alone: a dead letter, which waits
            poll(lambda: any("reclaim waits" in line for line in yard.lines))
            for pid in [other.pid, *(child.pid for child in other.children())]:
                kill(pid)

            poll(lambda: "running" not in yard.states(lost))
            assert yard.job(doomed).state == "running"
        finally:
            rabbit.control("set_vm_memory_high_watermark", "0.4")
        yard.open(gate)
        poll(lambda: yard.states(ids) == {"failed": 1, "completed": 7})


@pytest.mark.slow
def test_who_leaves_in_an_alarm_is_not_blamed_for_what_it_could_not_bury(make_yard, rabbit):
    """Its last failure waits for RabbitMQ until it has to go; another job has used up its time to stop."""
    yard = make_yard(LEASE_S="60", WORKER_THREADS="2", SHUTDOWN_GRACE="1")
    gate = yard.new_gate()
    worker = yard.worker()
    with yard.running(yard.scheduler(), worker):
        doomed = yard.submit(tasks.fail_when_open, gate, max_retries=0).id
        long = yard.submit(tasks.sleep, 90).id
        yard.await_event("waits", doomed)
        yard.await_event("sleeps", long)
        rabbit.control("set_vm_memory_high_watermark", "0.00001")
        try:
            yard.open(gate)
            worker.stop()

            poll(lambda: "running" not in yard.states([doomed, long]))
            assert [yard.job(each).crashes for each in (doomed, long)] == [0, 0]
        finally:
            rabbit.control("set_vm_memory_high_watermark", "0.4")


def test_a_worker_starts_while_the_broker_is_away(yard):
    """It says so and tries again; and it stops when it is told to."""
    worker = yard.worker(BROKER_URL="amqp://127.0.0.1:1/")
    try:
        worker.start()
        poll(lambda: any("no connection" in problem for problem in worker.problems()))
        worker.stop()
        assert "exited with 0" in worker.obituary()
    finally:
        worker.kill()


def test_a_deleted_queue_is_declared_and_consumed_again(yard):
    """An operator's mistake costs the messages in it, which `relay` publishes anew, and nothing else."""
    worker = yard.worker()
    with yard.running(worker):
        assert yard.submit(tasks.add, 1, 2).get(timeout=30) == 3
        with yard.channel() as channel:
            channel.queue_delete(yard.queue)
            channel.queue_delete(dead_queue(yard.queue))

        handle = yard.submit(tasks.add, 2, 3)
        assert handle.get(timeout=30) == 5
        poll(lambda: worker.problems() == [])
        yard.publish(b"malformed")
        assert yard.dead_letter()[0].headers["taskyard-reason"] == "undecodable"


def test_a_queue_with_other_arguments_is_named_and_the_others_are_served(yard):
    """`/readyz` says which queue and what to do; nothing loops."""
    with yard.channel() as channel:
        arguments = queue_arguments(yard.queue, version=(3, 10))
        channel.queue_declare(
            yard.queue, durable=True, arguments={**arguments, "x-max-priority": 3}
        )
    worker = yard.worker(WORKER_QUEUES=f"{yard.queue},{tasks.QUEUE}")
    worker.start()
    try:
        poll(lambda: any("QUEUE_TYPE" in problem for problem in worker.problems()))
        (problem,) = worker.problems()
        assert yard.queue in problem
        assert "x-max-priority" in problem
        assert yard.submit(tasks.add, 1, 2, queue=tasks.QUEUE).get(timeout=30) == 3

        with yard.channel() as channel:
            channel.queue_delete(yard.queue)
    finally:
        worker.kill()


@pytest.mark.slow
def test_a_storm_loses_nothing(yard, rabbit, redis_server):
    """Children are killed and both servers go away, one after the other, while jobs come in."""
    ledger = Ledger(yard)
    worker = yard.worker(WORKER_PROCESSES="2", WORKER_THREADS="4", MAX_CRASHES="50")
    is_over = threading.Event()

    def submit_all():
        n = 0
        while not is_over.is_set():
            n += 1
            job_id = f"{yard.queue}-{n}"
            try:
                yard.submit(tasks.busy if n % 2 else tasks.flaky, 0.02 if n % 2 else 1, id=job_id)
                ledger.add(job_id)
            except TaskyardError:
                ledger.add_unsure(job_id)

    with yard.running(worker):
        producer = threading.Thread(target=submit_all)
        producer.start()
        try:
            for round_number in range(3):
                for child in worker.children():
                    child.kill()
                poll(lambda: len(worker.children()) == 2)
                redis_server.kill()
                redis_server.start()
                redis_server.wait_ready()
                if round_number == 1:
                    kill_broker(rabbit)
                    rabbit.start()
                    rabbit.wait_ready()
                poll(lambda: worker.problems() == [])
        finally:
            is_over.set()
            producer.join()

        states = ledger.settle(timeout_s=60)
        assert states.keys() == {"completed"}
        assert states["completed"] > 50
