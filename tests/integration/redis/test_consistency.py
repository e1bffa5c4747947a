"""Records that are tampered with behind the store's back: the verification names them, and puts them back."""

import pytest
import redis

from tests.contract.jobs import HOUR_MS, QUEUE, claim, get, pending, running, settle


@pytest.fixture
def server(result_backend):
    with redis.Redis.from_url(result_backend) as server:
        yield server


def scheduled(store):
    return pending(store, delay_ms=HOUR_MS)


def ended(store):
    job_id, token = running(store)
    settle(store, job_id, token)
    return job_id


def suspect(store):
    job_id, _ = running(store)
    store.end_lease("w1", "exit code 1", is_own_death=True)
    (lost,) = store.lost("reclaim", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying", is_suspect=True)
    return job_id


CASES = [
    ("not_waiting", scheduled, "waiting"),
    ("not_waiting", suspect, f"suspects:{QUEUE}"),
    ("not_ready", pending, f"ready:{QUEUE}"),
    ("not_held", lambda store: running(store)[0], "leases"),
    ("not_ended", ended, "ended"),
]


@pytest.mark.parametrize(("problem", "make", "index"), CASES)
def test_a_record_that_left_its_index(store, server, key_prefix, problem, make, index):
    """It is named until it is repaired, once, and then is where it was."""
    job_id = make(store)
    key = f"{key_prefix}{index}"
    before = server.zrange(key, 0, -1)
    server.delete(key)

    (found,) = store.check_records("0", 100).findings
    assert (found.id, found.problem, found.is_repaired) == (job_id, problem, False)
    (found,) = store.check_records("0", 100, is_repair=True).findings
    assert found.is_repaired
    assert store.check_records("0", 100).findings == []
    assert server.zrange(key, 0, -1) == before


def test_a_cancelled_job_whose_message_is_out_is_kept_for_that(store, server, key_prefix):
    """A repair keeps it as long as its end did."""
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)
    kept_until = server.zscore(f"{key_prefix}ended", job_id)
    server.delete(f"{key_prefix}ended")

    store.check_records("0", 100, is_repair=True)

    assert server.zscore(f"{key_prefix}ended", job_id) >= kept_until


def test_a_running_job_without_a_lease_is_reclaimed(store, server, key_prefix):
    """A repair puts it where the scheduler looks for lost jobs."""
    job_id, _ = running(store)
    server.delete(f"{key_prefix}held:w1", f"{key_prefix}leases")

    store.check_records("0", 100, is_repair=True)

    assert [lost.id for lost in store.lost("reclaim", HOUR_MS, 10)] == [job_id]


def test_a_job_held_back_by_a_limit(store, server, key_prefix):
    """It belongs to its limit instead of the waiting jobs, and gets there again."""
    store.pause("task", "add", {})
    job_id = pending(store)
    assert claim(store, job_id, task="add", limit_key="").kind == "held"
    assert store.check_records("0", 100).findings == []
    server.delete(f"{key_prefix}limited:add|")

    (found,) = store.check_records("0", 100, is_repair=True).findings
    assert (found.id, found.problem) == (job_id, "not_waiting")
    store.resume("task", "add")
    assert [ready.id for ready in store.take_due(10)[0]] == [job_id]


def test_a_record_that_is_gone_cannot_be_repaired(store, server, key_prefix):
    """It is named all the same."""
    job_id = pending(store)
    server.delete(f"{key_prefix}j:{job_id}")

    (found,) = store.check_records("0", 100, is_repair=True).findings

    assert (found.id, found.problem, found.is_repaired) == (job_id, "no_record", False)


def test_a_job_that_nobody_runs_and_whose_record_is_damaged(store, server, key_prefix):
    """It is named, and not said to be repaired; heartbeats of its worker go on."""
    store.heartbeat("w1", {}, HOUR_MS, [], over=1)
    job_id = pending(store)
    claim(store, job_id, call=1)
    server.hdel(f"{key_prefix}j:{job_id}", "started_at")

    (found,) = store.check_records("0", 100, is_repair=True).findings

    assert (found.id, found.problem, found.is_repaired) == (job_id, "not_run", False)
    assert store.heartbeat("w1", {}, HOUR_MS, [], over=1).given_back == []


def test_a_running_job_whose_token_is_damaged(store, server, key_prefix):
    """It keeps the walk from no other."""
    damaged, _ = running(store)
    store.heartbeat("w1", {}, HOUR_MS, [], over=1)
    unheard = pending(store)
    claim(store, unheard, call=1)
    server.hset(f"{key_prefix}j:{damaged}", "token", "some")

    findings = store.check_records("0", 100).findings

    assert [(each.id, each.problem) for each in findings] == [(unheard, "not_run")]
    assert store.explain(damaged).is_unheard is False


def test_found_ones_are_looked_at_again(store, server, key_prefix):
    """By their ids, without a walk; one whose time to be kept is over meanwhile is no finding."""
    job_id = scheduled(store)
    server.zrem(f"{key_prefix}waiting", job_id)
    (found,) = store.check_records("", 0, ids=[job_id]).findings
    assert found.id == job_id
    assert store.check_records("", 0, ids=["pruned"]).findings == []


def test_totals_begin_with_the_jobs_of_an_older_version(store, server, key_prefix):
    """A store that has not counted yet takes the jobs that it has for accepted ones; none is missing."""
    pending(store)
    server.delete(f"{key_prefix}totals")

    pending(store)

    totals = store.totals()
    assert (totals.accepted, totals.missing) == (2, 0)
    assert get(store, pending(store)).state == "pending"
