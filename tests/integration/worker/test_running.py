"""Running jobs: results, the current job, progress, priorities."""

import pytest

from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard


@pytest.mark.parametrize("task", [tasks.add, tasks.add_later])
def test_a_result_comes_back(yard, task):
    """Of plain and async tasks."""
    handle = yard.submit(task, 1, kwargs={"b": 2})

    assert handle.get(timeout=30) == 3
    document = handle.document()
    assert document["state"] == "completed"
    assert [attempt["outcome"] for attempt in document["attempts"]] == ["completed"]
    assert document["created_at"] <= document["started_at"] <= document["finished_at"]


def test_arguments_become_what_the_hints_say(yard):
    """A dataclass comes as JSON and arrives as itself."""
    assert yard.submit(tasks.norm, {"x": 3, "y": 4}).get(timeout=30) == 5


def test_a_task_is_a_plain_function_too():
    """No broker is needed to call it."""
    assert tasks.add(1, 2) == 3


@pytest.mark.parametrize("task", [tasks.who, tasks.who_later])
def test_a_task_knows_its_job(yard, task):
    """In threads and in coroutines."""
    handle = yard.submit(task)

    told = handle.get(timeout=30)
    assert (handle.id, task.name, 1) == (told["id"], task.name, told["attempt"])


def test_progress_is_seen_while_the_task_runs(yard):
    """The last one in any case."""
    gate = yard.new_gate()
    handle = yard.submit(tasks.steps, 5, gate)

    poll(lambda: (handle.document()["progress"] or {}).get("done") == 5)
    assert {"done": 5, "total": None, "note": "step 5"}.keys() == handle.document()[
        "progress"
    ].keys()
    yard.open(gate)
    assert handle.get(timeout=30) == 5
    assert handle.document()["progress"]["done"] == 6


def test_a_scheduled_job_runs_at_its_time(yard):
    """Not before."""
    handle = yard.submit(tasks.note, delay_s=0.5)

    handle.get(timeout=30)
    job = yard.job(handle.id)
    assert job.created_at + 500 <= job.run_at <= job.started_at


def test_higher_priorities_run_first(make_yard):
    """All jobs wait for the one slot; they run by priority, and in order within one."""
    yard = make_yard()
    with yard.running(yard.worker(WORKER_THREADS="1")):
        gate = yard.new_gate()
        yard.await_event("waits", yard.submit(tasks.wait_at, gate).id)
        # The worker holds one more than it has slots for.
        prefetched = yard.submit(tasks.note, "prefetched", priority=0)
        submitted = [(n % 10, yard.submit(tasks.note, priority=n % 10).id) for n in range(60)]
        yard.open(gate)
        poll(lambda: len(yard.events("ran")) == 60)

        expected = [job_id for _, job_id in sorted(submitted, key=lambda entry: -entry[0])]
        assert [event.job_id for event in yard.events("ran")] == expected
        assert prefetched.get(timeout=30) is None
