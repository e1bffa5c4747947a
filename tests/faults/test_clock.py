"""Redis' clock is set by a minute: nothing is lost or doubled, and no dead worker keeps its jobs for long."""

import uuid
from collections import Counter

import pytest
import redis

from taskyard import config
from taskyard.store import open_store
from tests import worker_tasks as tasks
from tests.contract.jobs import running
from tests.polling import poll
from tests.set_clock import RedisWithClock
from tests.yard import Yard, kill

STEP_S = 60
GAP_MS, GRACE_MS = 30_000, 45_000
either_way = pytest.mark.parametrize("step_s", [STEP_S, -STEP_S], ids=["forward", "back"])


@pytest.fixture(scope="module")
def clocked(tmp_path_factory):
    """A Redis whose clock is right at the beginning of each test."""
    with RedisWithClock(tmp_path_factory.mktemp("clock")) as server:
        yield server


@pytest.fixture
def store(clocked):
    """An empty store in it."""
    clocked.set_clock(0)
    prefix = f"test-{uuid.uuid4().hex[:8]}:"
    store = open_store(config.load(result_backend=clocked.url, key_prefix=prefix))
    yield store
    store.close()


def reclaimed(store, grace_ms=GRACE_MS):
    """Look for lost jobs as the scheduler does; return their ids."""
    store.forgive_outage(GAP_MS, grace_ms)
    return [lost.id for lost in store.lost("r1", GRACE_MS, 10, gap_ms=GAP_MS)]


def test_the_clock_is_the_server_s(clocked):
    """What these tests set is what scripts read."""
    with redis.Redis.from_url(clocked.url) as server:
        before = int(server.time()[0])
        clocked.set_clock(STEP_S)
        after = int(server.eval("return redis.call('TIME')[1]", 0))
        clocked.set_clock(0)

    assert STEP_S <= after - before < 2 * STEP_S


def test_no_lease_ends_because_the_clock_was_set_forward(clocked, store):
    """Whoever is alive has a lease's time to say so."""
    job_id, token = running(store)
    store.heartbeat("w1", {}, GRACE_MS, [(job_id, token)])
    assert reclaimed(store) == []

    clocked.set_clock(STEP_S)

    assert reclaimed(store) == []
    assert reclaimed(store) == []


def test_the_clock_may_be_set_between_two_looks_at_the_leases(clocked, store):
    """What ended by that is not taken before it was given grace."""
    job_id, token = running(store)
    store.heartbeat("w1", {}, GRACE_MS, [(job_id, token)])
    store.forgive_outage(GAP_MS, GRACE_MS)

    clocked.set_clock(STEP_S)

    assert store.lost("r1", GRACE_MS, 10, gap_ms=GAP_MS) == []
    assert reclaimed(store) == []


def test_a_clock_that_is_set_back_keeps_no_job_with_a_dead_worker(clocked, store):
    """Its lease is as long as one that begins now, not longer by the step."""
    clocked.set_clock(24 * 3600)
    job_id, _ = running(store)  # with a lease of an hour
    assert reclaimed(store) == []

    clocked.set_clock(0)

    assert poll(lambda: reclaimed(store, grace_ms=100)) == [job_id]


@pytest.fixture(scope="module")
def yard(rabbit, clocked, tmp_path_factory):
    """A yard on it, with a worker of two children and two schedulers."""
    yard = Yard(rabbit, clocked, tmp_path_factory.mktemp("yard"), WORKER_PROCESSES="2")
    clocked.set_clock(0)
    with yard.running(yard.worker(), yard.scheduler(), yard.scheduler()):
        yield yard
    yard.close()


@either_way
def test_jobs_run_once_while_the_clock_is_set(clocked, yard, step_s):
    """Those that run, that wait for a slot and that wait for their time; and those submitted afterwards."""
    clocked.set_clock(0)
    gate = yard.new_gate()
    held = [yard.submit(tasks.wait_at, gate) for _ in range(4)]
    for job in held:
        yard.await_event("waits", job.id)
    queued = yard.submit_many(tasks.note, 20)
    later = yard.submit_many(tasks.note, 20, delay_s=1)
    before = yard.logged(event="job reclaimed from a lost worker")

    clocked.set_clock(step_s)
    afterwards = yard.submit_many(tasks.note, 20)
    yard.open(gate)

    ids = [*(job.id for job in held), *queued, *afterwards]
    if step_s < 0:  # those that wait come a step later; then the clock is mended
        poll(lambda: yard.states(ids) == {"completed": len(ids)})
        clocked.set_clock(0)
    ids += later
    poll(lambda: yard.states(ids) == {"completed": len(ids)})
    runs = Counter(event.job_id for event in yard.events() if event.what in ("waits", "ran"))
    assert {each: runs[each] for each in ids} == dict.fromkeys(ids, 1)
    assert yard.logged(event="job reclaimed from a lost worker") == before


@either_way
def test_a_killed_child_s_jobs_run_again_though_the_clock_was_set(clocked, yard, step_s):
    """Its end is known, and needs no clock."""
    clocked.set_clock(0)
    gate = yard.new_gate()
    job = yard.submit(tasks.wait_at, gate)
    pid = yard.await_event("waits", job.id).pid
    clocked.set_clock(step_s)

    kill(pid)

    poll(lambda: len(yard.events("waits", job.id)) == 2)
    yard.open(gate)
    assert yard.ended(job.id).state.value == "completed"
