"""Handing over lost jobs on Redis: damage to one record, or one index, holds up no other job."""

import pytest
import redis
from msgspec.structs import replace

from taskyard.errors import StoreUnavailable
from taskyard.store import open_store
from tests.contract.jobs import HOUR_MS, counts, get, running, settle, state
from tests.polling import poll


@pytest.fixture
def client(settings):
    with redis.Redis.from_url(settings.result_backend, decode_responses=True) as client:
        yield client


NUMBERS = ["attempt", "crashes", "started_at", "ran_ms", "losses", "company", "own_death"]


@pytest.mark.parametrize("value", ["x", "", "1.5", "-1", "007", "9" * 40, "nan"])
@pytest.mark.parametrize("has_exit", [False, True])
def test_a_number_that_is_none_is_mended(store, client, key_prefix, value, has_exit):
    """Whichever it is, and though a reclaimer has lost the job in its turn."""
    good, bad = running(store)[0], [running(store)[0] for _ in NUMBERS]
    store.end_lease("w1", "signal 9")
    if has_exit:
        store.lost("r0", HOUR_MS, 100)
        store.end_lease("r0", None)
    for job_id, field in zip(bad, NUMBERS, strict=True):
        client.hset(f"{key_prefix}j:{job_id}", field, value)

    lost = store.lost("r1", HOUR_MS, 100)

    assert {each.id for each in lost} == {good, *bad}
    for each in lost:
        assert settle(store, each.id, each.token, "retrying", is_crash=True, is_loss=True)
        job = get(store, each.id)
        assert (job.state, job.crashes, len(job.attempts)) == ("retrying", 1, 1)
    assert counts(store) == {"default": {"retrying": len(lost)}}


def test_what_is_no_record_is_left_to_the_audit(store, client, key_prefix):
    """Once: it takes no place in later answers, and is named by the walk through all records."""
    good, bad = running(store)[0], running(store)[0]
    client.delete(f"{key_prefix}j:{bad}")
    client.set(f"{key_prefix}j:{bad}", "x")
    store.end_lease("w1", "signal 9")

    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [good]

    store.end_lease("r1", None)
    assert [lost.id for lost in store.lost("r1", HOUR_MS, 1)] == [good]
    page = store.check_records("0", 100)
    assert [(each.id, each.problem) for each in page.findings] == [(bad, "no_record")]


def test_an_index_that_is_none_holds_up_no_other_worker(store, client, key_prefix):
    """What one worker holds cannot be read; the jobs of others are handed over all the same."""
    running(store, owner="odd")
    good, _ = running(store, owner="w1")
    client.delete(f"{key_prefix}held:odd")
    client.set(f"{key_prefix}held:odd", "x")
    client.hset(f"{key_prefix}company", "w1", "many")
    client.zadd(f"{key_prefix}leases", {"odd": 1, "w1": 2})

    assert [(lost.id, lost.company) for lost in store.lost("r1", HOUR_MS, 10)] == [(good, 1)]


@pytest.mark.parametrize(
    "missing", ["-hmget", "-hset", "-sadd", "-srem", "-zadd", "-get", "-set", "-exists", "-zrem"]
)
def test_rights_that_are_missing_lose_no_job(store, settings, client, missing):
    """However far it came without them: once they are given, all are handed over."""
    ids = {running(store)[0] for _ in range(3)}
    store.end_lease("w1", "signal 9")
    client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", missing)
    address = settings.result_backend.replace("redis://", "redis://poor:pw@")
    poor = open_store(replace(settings, result_backend=address))
    try:
        with pytest.raises(StoreUnavailable):
            poor.lost("r1", HOUR_MS, 10)
    finally:
        poor.close()
        client.execute_command("ACL", "DELUSER", "poor")

    store.end_lease("r1", None)
    lost = {each.id: each for each in poll(lambda: store.lost("r1", HOUR_MS, 10))}

    assert (set(lost), {each.company for each in lost.values()}) == (ids, {3})
    assert {state(store, each) for each in ids} == {"running"}
    assert all(settle(store, each.id, each.token, "retrying") for each in lost.values())
    assert counts(store) == {"default": {"retrying": 3}}
