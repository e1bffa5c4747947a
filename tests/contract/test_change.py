"""What `change` promises: a waiting job is changed whole, any other is not touched."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from taskyard.store.controls import Limits
from taskyard.store.waiting import Change, Changed
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
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

    assert Changed("changed", "scheduled") == store.change(job_id, Change(delay_ms=2 * HOUR_MS))
    assert (get(store, job_id).run_at or 0) >= before + HOUR_MS
    assert HOUR_MS < store.take_due(10)[1] <= 2 * HOUR_MS
    store.change(job_id, Change(run_at_ms=before))
    assert before == get(store, job_id).run_at
    assert {"default": {"scheduled": 1}} == counts(store)


def test_a_time_that_has_passed_is_now(store):
    """The job is due at once, and not long overdue."""
    job_id = pending(store, delay_ms=HOUR_MS)

    store.change(job_id, Change(run_at_ms=1))

    ((ready,), _) = store.take_due(10)
    assert job_id == ready.id
    assert 0 <= ready.now_ms - ready.due_at_ms < 60_000
    assert {"default": {"pending": 1}} == counts(store)


def test_priority_and_arguments_are_those_of_the_next_message(store):
    """What is not named stays, also in the envelope."""
    store.create([new_job("a", args=[1], kwargs={"x": 1}, delay_ms=HOUR_MS)])

    store.change("a", Change(priority=9, args=[2]))
    store.change("a", Change(kwargs={"x": 2}, run_at_ms=0))

    job = get(store, "a")
    message = job.message
    assert (9, [2], {"x": 2}, "add") == (
        message.priority,
        message.args,
        message.kwargs,
        message.actor_name,
    )
    ((ready,), _) = store.take_due(10)
    assert '"priority":9' in ready.body


def test_a_retrying_or_parked_job_can_be_changed(store):
    """Both wait."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)
    parked = pending(store)
    claim(store, parked, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS)

    assert "changed" == store.change(job_id, Change(delay_ms=0)).verdict
    assert "changed" == store.change(parked, Change(delay_ms=0)).verdict

    assert {job_id: 2, parked: 1} == {ready.id: ready.attempt for ready in store.take_due(10)[0]}


def test_a_limited_job_keeps_its_limit(store):
    """Now is when its limit lets it go; a later time takes it from there."""
    store.declare_limits({"add": Limits(concurrency=1)})
    other, job_id = pending(store), pending(store)
    kinds = [claim(store, each, task="add").kind for each in (other, job_id)]
    assert ["run", "limited"] == kinds

    store.change(job_id, Change(delay_ms=0, priority=9))
    assert ("scheduled", "limited") == (state(store, job_id), get(store, job_id).reason)
    store.change(job_id, Change(delay_ms=HOUR_MS))
    assert ("scheduled", None) == (state(store, job_id), get(store, job_id).reason)
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

    assert Changed("too_late", kind) == store.change(job_id, Change(delay_ms=1, priority=1))
    assert 5 == get(store, job_id).message.priority
    assert ([], None) == store.take_due(10)


def test_an_unknown_job_is_not_changed(store):
    """And leaves no trace."""
    assert Changed("unknown", "") == store.change("nobody", Change(priority=1))
    assert {} == counts(store)


def test_changes_at_the_same_time_are_all_made(new_store):
    """None overwrites what another has changed."""
    store = new_store()
    pending(store, job_id="a", delay_ms=HOUR_MS)
    changes = [Change(priority=8), Change(args=[7]), Change(kwargs={"x": 6}), Change(run_at_ms=5)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda change: store.change("a", change), changes))

    message = get(store, "a").message
    assert ["changed"] * 4 == [answer.verdict for answer in answers]
    assert (8, [7], {"x": 6}) == (message.priority, message.args, message.kwargs)
