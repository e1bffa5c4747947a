"""What `change` promises: a waiting job is changed whole, any other is not touched."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from taskyard.store.controls import Limits
from taskyard.store.jobs import Change, Changed
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    declare_limits,
    get,
    new_job,
    pending,
    running,
    settle,
    state,
)


def test_a_job_gets_another_time(store):
    """It is due then and not before."""
    job_id = pending(store, delay_ms=HOUR_MS)
    before = get(store, job_id).run_at
    assert before is not None

    assert store.change(job_id, Change(delay_ms=2 * HOUR_MS)) == Changed("changed", "scheduled")
    assert (get(store, job_id).run_at or 0) >= before + HOUR_MS
    assert HOUR_MS < store.take_due(10)[1] <= 2 * HOUR_MS
    store.change(job_id, Change(run_at_ms=before))
    assert get(store, job_id).run_at == before
    assert counts(store) == {"default": {"scheduled": 1}}


def test_a_time_that_has_passed_is_now(store):
    """The job is due at once, and not long overdue."""
    job_id = pending(store, delay_ms=HOUR_MS)

    store.change(job_id, Change(run_at_ms=1))

    ((ready,), _) = store.take_due(10)
    assert ready.id == job_id
    assert 0 <= ready.now_ms - ready.due_at_ms < 60_000
    assert counts(store) == {"default": {"pending": 1}}


def test_priority_and_arguments_are_those_of_the_next_message(store):
    """What is not named stays, also in the envelope."""
    store.create([new_job("a", args=[1], kwargs={"x": 1}, delay_ms=HOUR_MS)])

    store.change("a", Change(priority=9, args=[2]))
    store.change("a", Change(kwargs={"x": 2}, run_at_ms=0))

    job = get(store, "a")
    message = job.message
    assert (
        message.priority,
        message.args,
        message.kwargs,
        message.task,
    ) == (9, [2], {"x": 2}, "add")
    ((ready,), _) = store.take_due(10)
    assert '"priority":9' in ready.body


def test_a_retrying_or_parked_job_can_be_changed(store):
    """Both wait."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)
    parked = pending(store)
    claim(store, parked, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS)

    assert store.change(job_id, Change(delay_ms=0)).verdict == "changed"
    assert store.change(parked, Change(delay_ms=0)).verdict == "changed"

    assert {ready.id: ready.attempt for ready in store.take_due(10)[0]} == {job_id: 2, parked: 1}


def test_a_limited_job_keeps_its_limit(store):
    """Now is when its limit lets it go; a later time takes it from there."""
    declare_limits(store, Limits(concurrency=1))
    other, job_id = pending(store), pending(store)
    kinds = [claim(store, each, task="add").kind for each in (other, job_id)]
    assert kinds == ["run", "limited"]

    store.change(job_id, Change(delay_ms=0, priority=9))
    assert (state(store, job_id), get(store, job_id).reason) == ("scheduled", "limited")
    store.change(job_id, Change(delay_ms=HOUR_MS))
    assert (state(store, job_id), get(store, job_id).reason) == ("scheduled", None)
    store.change(job_id, Change(delay_ms=0))
    assert job_id in {ready.id for ready in store.take_due(10)[0]}


@pytest.mark.parametrize("kind", ["pending", "running", "completed"])
def test_a_job_that_does_not_wait_is_not_changed(store, kind):
    """It is told what it is."""
    job_id = pending(store)
    if kind != "pending":
        token = claim(store, job_id).token
    if kind == "completed":
        settle(store, job_id, token)

    assert store.change(job_id, Change(delay_ms=1, priority=1)) == Changed("too_late", kind)
    assert get(store, job_id).message.priority == 5
    assert store.take_due(10) == ([], None)


def test_an_unknown_job_is_not_changed(store):
    """And leaves no trace."""
    assert store.change("nobody", Change(priority=1)) == Changed("unknown", "")
    assert counts(store) == {}


def test_changes_at_the_same_time_are_all_made(new_store):
    """None overwrites what another has changed."""
    store = new_store()
    pending(store, job_id="a", delay_ms=HOUR_MS)
    changes = [Change(priority=8), Change(args=[7]), Change(kwargs={"x": 6}), Change(run_at_ms=5)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda change: store.change("a", change), changes))

    message = get(store, "a").message
    assert [answer.verdict for answer in answers] == ["changed"] * 4
    assert (message.priority, message.args, message.kwargs) == (8, [7], {"x": 6})
