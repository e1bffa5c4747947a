"""The store goes away, comes back, or comes back empty, while jobs wait and run."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from tests import worker_tasks as tasks
from tests.faults.busy_yard import busy_worker, outlast
from tests.faults.ledger import Ledger
from tests.polling import poll
from tests.yard import kill


@pytest.fixture
def yard(make_yard, redis_server):
    """A yard of its own; the store runs at the end, whatever happened."""
    yard = make_yard(STORE_TIMEOUT_S="1", LEASE_S="5")
    with yard.running(yard.scheduler()):
        yield yard
        if not redis_server.is_running:
            redis_server.start()
        redis_server.resume()
        redis_server.wait_ready()


@pytest.mark.parametrize("how", ["stop", "kill", "pause"])
def test_outcomes_are_kept_while_the_store_is_away(yard, redis_server, how):
    """Jobs end meanwhile; they are settled when it is back, once, and the rest runs then."""
    ledger = Ledger(yard)
    worker = yard.worker()
    with yard.running(worker):
        running, behind, gate = busy_worker(yard, ledger)

        getattr(redis_server, how)()
        yard.open(gate)
        for each in running:
            yard.await_event("passed", each)
        poll(lambda: any("heartbeat" in problem for problem in worker.problems()))
        assert not yard.events("ran")  # nothing is claimed without the store
        assert yard.dead_messages() == 0
        if how == "pause":
            redis_server.resume()
        else:
            redis_server.start()
            redis_server.wait_ready()

        assert ledger.settle() == {"completed": 22}
        for each in running + behind:
            assert len(yard.job(each).attempts) == 1
        assert all(len(yard.events("passed", each)) == 1 for each in running)
        assert all(len(yard.events("ran", each)) == 1 for each in behind)
        poll(lambda: worker.problems() == [])


def test_a_store_that_is_away_for_longer_than_a_lease_loses_nothing(make_yard, redis_server):
    """Leases could not be extended meanwhile; that is not the workers' fault."""
    yard = make_yard(LEASE_S="2", STORE_TIMEOUT_S="0.5")
    ledger = Ledger(yard)
    with yard.running(yard.worker(), yard.scheduler()):
        running, _, gate = busy_worker(yard, ledger)

        redis_server.stop()
        yard.open(gate)
        for each in running:
            yard.await_event("passed", each)
        ended_at = max(yard.events("passed", each)[0].time for each in running)
        poll(lambda: time.time() > ended_at + 4)  # two leases
        redis_server.start()
        redis_server.wait_ready()

        assert ledger.settle() == {"completed": 22}
        assert all(len(yard.events("passed", each)) == 1 for each in running)


@contextmanager
def full(redis_server):
    """Have no room for another byte in the store meanwhile."""
    with redis.Redis.from_url(redis_server.url) as server:
        server.config_set("maxmemory", "1mb")
        try:
            yield
        finally:
            server.config_set("maxmemory", "0")


def test_a_store_that_is_full_for_longer_than_a_lease_loses_nothing(make_yard, redis_server):
    """Leases are kept alive all the same; what runs ends once, and three times make no crash loop."""
    yard = make_yard(LEASE_S="2", MAX_CRASHES="3")
    ledger = Ledger(yard)
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        running, behind, gate = busy_worker(yard, ledger)

        for _ in range(3):
            with full(redis_server):
                outlast(4)  # two leases
                poll(lambda: any("catalogue" in problem for problem in worker.problems()))
            poll(lambda: worker.problems() == [])
        assert [yard.job(each).crashes for each in running] == [0, 0]
        with full(redis_server):
            yard.open(gate)
            for each in running:
                yard.await_event("passed", each)
            outlast(4)
            assert not yard.events("ran")

        assert ledger.settle() == {"completed": 22}
        for each in running + behind:
            assert len(yard.job(each).attempts) == 1
        assert all(len(yard.events("waits", each)) == 1 for each in running)
        assert all(len(yard.events("ran", each)) == 1 for each in behind)
        assert yard.dead_messages() == 0


@contextmanager
def busy(redis_server):
    """Have the store answer BUSY meanwhile, as it does while somebody's script runs too long."""
    with redis.Redis.from_url(redis_server.url) as server, ThreadPoolExecutor(1) as pool:
        server.config_set("busy-reply-threshold", "1")
        endless = pool.submit(server.eval, "while true do end", 0)
        try:
            yield
        finally:
            poll(lambda: _is_killed(server))
            assert isinstance(endless.exception(30), redis.ResponseError)
            server.config_set("busy-reply-threshold", "5000")


def _is_killed(server):
    try:
        server.script_kill()
    except redis.ResponseError as error:
        return "NOTBUSY" in str(error)
    return False


@contextmanager
def without_rights(redis_server):
    """Have the store deny what its scripts do meanwhile."""
    with redis.Redis.from_url(redis_server.url) as server:
        server.execute_command("ACL", "SETUSER", "default", "-hmget", "-hset")
        try:
            yield
        finally:
            server.execute_command("ACL", "SETUSER", "default", "+@all")


@pytest.mark.parametrize("trouble", [busy, without_rights])
def test_what_the_store_refuses_for_its_own_reasons_is_no_jobs_fault(yard, redis_server, trouble):
    """Nothing is buried for it; what ends meanwhile is told later, and what waits runs then."""
    ledger = Ledger(yard)
    worker = yard.worker()
    with yard.running(worker):
        running, behind, gate = busy_worker(yard, ledger)

        with trouble(redis_server):
            yard.open(gate)
            for each in running:
                yard.await_event("passed", each)
            poll(lambda: any("heartbeat" in problem for problem in worker.problems()))
            assert not yard.events("ran")

        assert ledger.settle() == {"completed": 22}
        for each in running + behind:
            assert len(yard.job(each).attempts) == 1
        assert yard.dead_messages() == 0
        poll(lambda: worker.problems() == [])


def test_a_job_at_which_the_store_fails_holds_up_no_other(yard, redis_server):
    """It is kept until its record is mended, and the worker says so; an outcome is kept likewise."""
    worker = yard.worker()
    with yard.running(worker), redis.Redis.from_url(redis_server.url) as server:
        gate = yard.new_gate()
        running = [yard.submit(tasks.wait_at, gate).id for _ in range(2)]
        for each in running:
            yard.await_event("waits", each)
        odd, *behind = [yard.submit(tasks.note).id for _ in range(20)]
        prefix = yard.settings.key_prefix
        server.hset(f"{prefix}j:{odd}", "attempt", "some")
        server.hset(f"{prefix}j:{running[0]}", "limit", "damaged")
        server.set(f"{prefix}slots:damaged", "no set")
        yard.open(gate)

        poll(lambda: yard.states([running[1], *behind]) == {"completed": 20})
        poll(lambda: len([each for each in worker.problems() if "rest after" in each]) == 2)
        assert yard.dead_messages() == 0
        server.hset(f"{prefix}j:{odd}", "attempt", 0)
        server.delete(f"{prefix}slots:damaged")

        poll(lambda: yard.states([odd, running[0]]) == {"completed": 2})
        assert len(yard.events("passed", running[0])) == 1
        assert len(yard.events("ran", odd)) == 1
        assert [row.states for row in yard.store.counts() if row.queue == yard.queue] == [
            {"completed": 22}
        ]
        poll(lambda: worker.problems() == [])


def test_what_rested_in_a_child_that_died_is_told_no_more(yard, redis_server):
    """Its place is another's, where it goes well; what has happened stays counted."""
    worker = yard.worker()
    with yard.running(worker), redis.Redis.from_url(redis_server.url) as server:
        gate = yard.new_gate()
        running = [yard.submit(tasks.wait_at, gate).id for _ in range(2)]
        for each in running:
            yard.await_event("waits", each)
        odd = yard.submit(tasks.note).id
        record = f"{yard.settings.key_prefix}j:{odd}"
        server.hset(record, "attempt", "some")
        yard.open(gate)
        poll(lambda: worker.metric("taskyard_resting", what="claim") == 1)
        poll(lambda: yard.states(running) == {"completed": 2})

        kill(worker.children()[0].pid)
        server.hset(record, "attempt", 0)

        poll(lambda: yard.states([odd]) == {"completed": 1})
        poll(lambda: worker.metric("taskyard_resting", what="claim") == 0)
        poll(lambda: worker.metric("taskyard_jobs_started_total") == 3)


def test_a_worker_starts_while_the_store_is_away(yard, redis_server):
    """It says what it waits for, and serves as soon as it can."""
    ids = yard.submit_many(tasks.echo, 20, 1)
    redis_server.stop()
    worker = yard.worker()
    try:
        worker.start()
        poll(lambda: any("store" in problem for problem in worker.problems()))
        redis_server.start()
        redis_server.wait_ready()
        worker.wait_ready()
        poll(lambda: yard.states(ids) == {"completed": 20})
    finally:
        worker.kill()


def test_a_worker_stops_while_the_store_is_away(yard, redis_server):
    """Soon after its grace; what it could not settle runs again."""
    worker = yard.worker(SHUTDOWN_GRACE="1")
    with yard.running(worker):
        gate = yard.new_gate()
        handle = yard.submit(tasks.wait_at, gate)
        yard.await_event("waits", handle.id)
        redis_server.stop()
        yard.open(gate)
        yard.await_event("passed", handle.id)

        worker.stop()
        assert "exited with 0" in worker.obituary()
    redis_server.start()
    redis_server.wait_ready()
    with yard.running(yard.worker()):
        assert handle.get(timeout=30) == gate


def test_ready_work_outlives_an_emptied_store(yard, redis_server):
    """What is queued, and what runs, is recorded anew and completes; the worker goes on."""
    worker = yard.worker()
    with yard.running(worker):
        gate = yard.new_gate()
        running = [yard.submit(tasks.wait_at, gate).id for _ in range(2)]
        for each in running:
            yard.await_event("waits", each)
        queued = [yard.submit(tasks.note).id for _ in range(20)]

        with redis.Redis.from_url(redis_server.url) as server:
            server.flushall()
        assert yard.states(running + queued) == {"missing": 22}
        yard.open(gate)

        poll(lambda: yard.states(queued) == {"completed": 20})
        poll(lambda: all(yard.events("passed", each) for each in running))
        assert all(len(yard.events("ran", each)) == 1 for each in queued)
        poll(lambda: worker.problems() == [])
        poll(lambda: yard.store.tasks())


def test_jobs_that_run_when_the_store_is_emptied_are_run_again(yard, redis_server):
    """They are interrupted, for nothing guards them any more, and their messages bring them back."""
    with yard.running(yard.worker()):
        handles = [yard.submit(tasks.wait_at, "shut") for _ in range(2)]
        for handle in handles:
            yard.await_event("waits", handle.id)

        with redis.Redis.from_url(redis_server.url) as server:
            server.flushall()
        poll(lambda: all(len(yard.events("waits", handle.id)) == 2 for handle in handles))
        yard.open("shut")

        for handle in handles:
            assert handle.get(timeout=30) == "shut"
            assert handle.document()["origin"] == "python"


def test_outcomes_of_claims_that_a_failover_has_lost_count(make_yard, redis_server):
    """What ran while the store went back by a moment has run: it is settled, with its letter if it failed."""
    yard = make_yard(LEASE_S="60", HEARTBEAT_S="20")  # no heartbeat notices in between
    ledger = Ledger(yard)
    gate = yard.new_gate()
    bad = yard.submit(tasks.fail_when_open, gate, max_retries=0).id
    running = [yard.submit(tasks.wait_at, gate).id, bad]
    behind = [yard.submit(tasks.note).id for _ in range(20)]
    ledger.add(*running, *behind)
    poll(lambda: not yard.store.vitals().unconfirmed)
    with redis.Redis.from_url(redis_server.url) as server:
        pattern = f"{yard.settings.key_prefix}*"
        before = {key: server.dump(key) for key in server.scan_iter(pattern, count=1000)}
        with yard.running(yard.worker()):
            for each in running:
                yard.await_event("waits", each)
            for key in server.scan_iter(pattern, count=1000):
                server.delete(key)
            for key, value in before.items():
                server.restore(key, 0, value)
            assert yard.states(running) == {"pending": 2}
            yard.open(gate)

            assert ledger.settle() == {"completed": 21, "failed": 1}
        for each in running + behind:
            assert len(yard.job(each).attempts) == 1
        assert all(len(yard.events("waits", each)) == 1 for each in running)
        assert all(len(yard.events("ran", each)) == 1 for each in behind)
        assert yard.store.dead_letters([bad]) != [None]
        assert yard.dead_messages() == 1


def test_outcomes_of_jobs_that_the_store_has_lost_are_recorded(make_yard, redis_server):
    """Their messages make the records that tell of them; nothing is acknowledged away, or runs again."""
    yard = make_yard(LEASE_S="60", HEARTBEAT_S="20")
    gate = yard.new_gate()
    with yard.running(yard.worker()):
        good = yard.submit(tasks.wait_at, gate).id
        bad = yard.submit(tasks.fail_when_open, gate, max_retries=0).id
        for each in (good, bad):
            yard.await_event("waits", each)
        yard.empty_store()
        yard.open(gate)

        assert yard.ended(good).state == "completed"
        assert yard.ended(bad).state == "failed"
        assert [len(yard.events("waits", each)) for each in (good, bad)] == [1, 1]
        assert yard.dead_messages() == 1
