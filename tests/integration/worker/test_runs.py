"""What a worker does with good jobs: runs them, whichever way they were handed over, and tells of them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import taskyard
from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard(WORKER_PROCESSES="2")
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard


@pytest.fixture
def python_door(yard):
    """This process's own client speaks to the yard, so `.delay()` does."""
    names = ("broker_url", "result_backend", "key_prefix")
    client = taskyard.configure(**{name: getattr(yard.settings, name) for name in names})
    yield
    client.close()


@pytest.mark.usefixtures("python_door")
@pytest.mark.parametrize("task", [tasks.add, tasks.add_later])
def test_delay_runs_a_job(task):
    """Plain and async, with positional and keyword arguments."""
    handles = [task.delay(1, 2), task.delay(1, b=3), task.delay(a=2, b=3)]

    assert [handle.get(timeout=30) for handle in handles] == [3, 4, 5]
    assert handles[0].document()["origin"] == "python"


@pytest.mark.usefixtures("python_door")
@pytest.mark.parametrize("task", [tasks.with_fee, tasks.with_fee_later])
def test_arguments_and_results_are_what_the_hints_say(task):
    """Both ways; everywhere else they are JSON."""
    order, at = tasks.Order(number=7, total=Decimal("12.50")), datetime(2026, 11, 24, 10)
    handle = task.delay(order, [Decimal("0.10"), Decimal("0.20")], at=at)

    assert handle.get(timeout=30) == tasks.Order(number=7, total=Decimal("12.80"), at=at)
    written = {"number": 7, "total": "12.80", "at": "2026-11-24T10:00:00"}
    assert taskyard.client().handle(handle.id).get() == written
    assert handle.document()["args"][1] == ["0.10", "0.20"]
    assert handle.document()["result"] == written


@pytest.mark.usefixtures("python_door")
def test_a_wrong_type_from_python_is_told_in_plain_words():
    """By the worker, which is the first to look at types."""
    handle = tasks.add.delay(1, "two")

    with pytest.raises(taskyard.JobFailed, match=r'test\.add: b: "two" is not a whole number'):
        handle.get(timeout=30)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_worker_reads_queues_of_either_type(make_yard, queue_type):
    """Also of the type that queues would not get by themselves on this version of RabbitMQ."""
    yard = make_yard(QUEUE_TYPE=queue_type)
    with yard.running(yard.worker(WORKER_QUEUES=yard.queue)):
        job = yard.submit(tasks.add, 1, 2)

        poll(lambda: yard.states([job.id]) == {"completed": 1})


def times_of(handle):
    """Return when a job started and was created."""
    document = handle.document()
    return [datetime.fromisoformat(document[name]) for name in ("started_at", "created_at")]


@pytest.mark.usefixtures("python_door")
def test_apply_async_runs_a_job_later():
    """After a countdown, or at a time; never before it."""
    at = datetime.now(UTC) + timedelta(seconds=0.6)
    counted = tasks.add.apply_async((1, 2), countdown=0.4)
    timed = tasks.add.apply_async((3,), {"b": 4}, eta=at, priority=9, tags=["later"])
    far = tasks.add.apply_async((1, 2), countdown=3600)
    assert far.state == "scheduled"
    far.cancel()

    assert counted.get(timeout=30) == 3
    assert timed.get(timeout=30) == 7
    started, created = times_of(counted)
    assert started >= created + timedelta(milliseconds=400)
    assert times_of(timed)[0] >= at - timedelta(milliseconds=1)  # the store's times are whole ones
    assert timed.document()["priority"] == 9


@pytest.mark.usefixtures("python_door")
def test_the_queue_of_a_task_can_be_overridden(yard):
    """The worker consumes both."""
    handle = tasks.add.apply_async((1, 2), queue=yard.queue)

    assert handle.get(timeout=30) == 3
    assert yard.queue == handle.document()["queue"]


def test_a_task_is_a_plain_function_too():
    """Called, it just runs: no servers, no job, and `current_job` is a stand-in."""
    assert tasks.add(1, 2) == 3
    assert asyncio.run(tasks.add_later(1, 2)) == 3
    assert {key: value for key, value in tasks.who().items() if key != "pid"} == {
        "id": "none",
        "task": "none",
        "attempt": 0,
    }


@pytest.mark.parametrize("task", [tasks.who, tasks.who_later])
def test_a_task_knows_its_job(yard, task):
    """`current_job()` gives id, task and attempt, also inside a coroutine."""
    handle = yard.submit(task)

    answer = handle.get(timeout=30)
    assert handle.id == answer["id"]
    assert task.name == answer["task"]
    assert answer["attempt"] == 1


def test_the_document_tells_all_of_a_run(yard):
    """Times in their order, the worker, and the result as JSON."""
    handle = yard.submit(tasks.echo, {"deep": [1, None, "é", 2.5]}, tags=["one", "two"])

    assert handle.get(timeout=30) == {"deep": [1, None, "é", 2.5]}
    document = handle.document()
    (attempt,) = document["attempts"]
    assert (
        document["created_at"]
        <= document["started_at"]
        == attempt["started_at"]
        <= document["finished_at"]
        == attempt["finished_at"]
    )
    assert 1 == document["attempt"] == attempt["number"]
    assert attempt["outcome"] == "completed"
    assert attempt["worker"] in {each["id"] for each in yard.store.workers()}
    assert document["tags"] == ["one", "two"]


def test_arguments_are_what_the_type_hints_say(yard):
    """A dataclass comes as an object in JSON."""
    assert yard.submit(tasks.norm, {"x": 3, "y": 4}).get(timeout=30) == 5.0


def test_none_is_a_result(yard):
    """It is told from a result that is not there yet by the state."""
    handle = yard.submit(tasks.echo)

    assert handle.get(timeout=30) is None
    assert handle.state == "completed"


def test_progress_is_shown_while_the_job_runs(yard):
    """And the last one stays with the job."""
    gate = yard.new_gate()
    handle = yard.submit(tasks.steps, 10, gate)

    poll(lambda: handle.document()["progress"] == {"done": 10, "total": 10, "note": "step 10"})
    assert handle.state == "running"

    yard.open(gate)
    handle.get(timeout=30)
    assert handle.document()["progress"] == {"done": 11, "total": 10, "note": ""}


def test_both_processes_work(yard):
    """Two children of two slots run four jobs at a time."""
    gate = yard.new_gate()
    handles = [yard.submit(tasks.wait_at, gate) for _ in range(4)]

    pids = {yard.await_event("waits", handle.id).pid for handle in handles}
    yard.open(gate)

    assert len(pids) == 2
    for handle in handles:
        handle.get(timeout=30)


def test_async_tasks_overlap_in_their_slots(yard):
    """Each holds a slot, like any other task."""
    gate = yard.new_gate()
    handles = [yard.submit(tasks.wait_at_later, gate) for _ in range(4)]
    for handle in handles:
        yard.await_event("waits", handle.id)

    yard.open(gate)
    assert [handle.get(timeout=30) for handle in handles] == [gate] * 4


def test_thousands_of_jobs_leave_nothing_open(yard):
    """Every one completes, once, and the counts say so."""
    ids = yard.submit_many(tasks.echo, 3_000, 1)

    poll(lambda: yard.states(ids) == {"completed": 3_000}, 60)
    assert all(len(yard.job(each).attempts) == 1 for each in ids[::50])
    poll(lambda: yard.ready_messages() == 0)
    (counts,) = [row for row in yard.store.counts() if row.queue == yard.queue]
    assert counts.states.keys() == {"completed"}
    assert counts.oldest_pending_s is None


def test_an_idle_worker_starts_a_job_at_once(yard):
    """Milliseconds after it was handed over; the median, and again where the machine was busy otherwise."""

    def median_ms():
        delays_ms = []
        for _ in range(21):
            asked = time.time()
            handle = yard.submit(tasks.note)
            handle.get(timeout=30)
            delays_ms.append((yard.await_event("ran", handle.id).time - asked) * 1000)
        return sorted(delays_ms)[10]

    poll(lambda: median_ms() < 50, 90)
