"""Waiting jobs that are changed meanwhile, with a real scheduler and worker."""

import pytest

from taskyard.store.jobs import Change
from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard


def test_a_job_runs_now_with_what_was_changed(yard):
    """Its first attempt has the new arguments, and the scheduler need not look for it."""
    handle = yard.submit(tasks.add, 1, kwargs={"b": 2}, delay_s=3600)

    yard.store.change(handle.id, Change(args=[10], priority=9))
    yard.store.change(handle.id, Change(delay_ms=0))

    assert handle.get(timeout=30) == 12
    assert yard.job(handle.id).message.priority == 9


def test_a_retry_is_brought_forward(yard):
    """The next attempt comes with its number, and with what was changed."""
    handle = yard.submit(tasks.again_in, 3600)
    yard.await_event("tries", handle.id)
    poll(lambda: yard.job_in("retrying", handle.id))

    assert yard.store.change(handle.id, Change(delay_ms=0)).verdict == "changed"

    assert handle.get(timeout=30) == "done"
    assert [event.attempt for event in yard.events("tries", handle.id)] == [1, 2]
