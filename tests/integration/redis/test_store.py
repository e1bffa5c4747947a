"""What is particular to the store on Redis: no key is left behind, and its server's troubles."""

import json
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import redis
from msgspec.structs import replace

from services.worker.attempts.outcome import describe
from taskyard import config
from taskyard.context import CurrentJob
from taskyard.errors import ConfigurationError, StoreFault, StoreUnavailable, Unstorable
from taskyard.job import Progress, document
from taskyard.store import open_store
from taskyard.store.attempts import Outcome
from taskyard.store.controls import Limits
from taskyard.store.finding import Filter
from taskyard.store.keys import NewKey, Use
from taskyard.store.replies import ReplyRequest
from tests.contract.jobs import (
    HOUR_MS,
    QUEUE,
    claim,
    counts,
    declare_limits,
    get,
    heartbeat,
    new_job,
    outbox,
    pending,
    running,
    settle,
    state,
)
from tests.contract.test_suspects import suspect
from tests.polling import poll

#: What stays: counters, and small collections that say something by themselves.
LASTING = {"counts", "departed", "fence", "totals", "workers"}


@pytest.fixture
def client(settings):
    with redis.Redis.from_url(settings.result_backend, decode_responses=True) as client:
        yield client


@pytest.fixture
def keys(client, key_prefix):
    """A function that gives the names of this test's keys; none that goes by itself in minutes."""

    def names():
        found = client.scan_iter(f"{key_prefix}*", count=1000)
        return {key.removeprefix(key_prefix) for key in found if not 0 < client.ttl(key) < 1000}

    return names


def test_a_job_leaves_no_key_behind(store, keys):
    """After every way to end, and the end of its record, only counters are left."""
    completed, failed, withdrawn = (pending(store) for _ in range(3))
    cancelled = pending(store, delay_ms=HOUR_MS)
    heartbeat(store)
    settle(store, completed, claim(store, completed).token, ttl_ms=0, progress='{"done":1}')
    settle(store, failed, claim(store, failed).token, "failed", ttl_ms=0)
    store.cancel([cancelled], 0)
    store.withdraw([withdrawn, pending(store, delay_ms=HOUR_MS)])
    asked, token = running(store)
    store.cancel([asked], 0)
    settle(store, asked, token, "cancelled", ttl_ms=0)
    store.end_lease("w1", None)

    assert store.prune(100) == 4
    outbox(store)

    assert keys() <= LASTING


def test_a_lost_job_leaves_no_key_behind(store, keys):
    """Nor do its dead worker, and the reclaimer that died in its turn."""
    job_id, _ = running(store)
    store.cancel([job_id], HOUR_MS)
    store.end_lease("w1", "signal 9")
    store.lost("r1", 0, 10)
    store.end_lease("r1", None)
    (lost,) = store.lost("r2", 0, 10)
    store.cancel([job_id], HOUR_MS)

    settle(store, job_id, lost.token, "failed", ttl_ms=0)
    store.lost("r2", 0, 10)
    store.prune(10)
    outbox(store)

    assert keys() <= LASTING


def test_counts_return_to_zero(store, client, key_prefix):
    """Each field of the counters ends at 0."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying")
    store.take_due(10)
    settle(store, job_id, claim(store, job_id, 2).token, ttl_ms=0)
    store.prune(10)

    assert set(client.hgetall(f"{key_prefix}counts").values()) == {"0"}


def test_a_server_that_lost_its_scripts_gets_them_again(store, client):
    """A restarted Redis knows no scripts."""
    pending(store)
    client.script_flush()

    assert state(store, pending(store)) == "pending"


def test_a_server_that_lost_everything_goes_on(store, client, key_prefix):
    """Late settles are refused, ready jobs are unknown and can be recorded anew."""
    job_id, token = running(store)
    client.delete(*client.scan_iter(f"{key_prefix}*"))

    assert not settle(store, job_id, token)
    assert claim(store, job_id).kind == "unknown"
    store.create([new_job(job_id)])
    assert claim(store, job_id).kind == "run"


def test_a_lost_connection_is_made_anew_without_an_error(store, client):
    """One that was closed while idle costs nothing but time."""
    store.ping()
    client.client_kill_filter(_type="normal", skipme=True)

    store.ping()


def test_a_server_that_may_not_write_is_unavailable(store, client):
    """A replica or a full server is away for now; it is not a bug of ours."""
    client.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            store.create([new_job()])
        with pytest.raises(StoreUnavailable):
            store.settle([Outcome("a", 1, "completed")])
    finally:
        client.config_set("min-replicas-to-write", "0")


def test_a_replica_is_unavailable_until_it_is_promoted(store, client):
    """During a failover jobs wait; they are not taken for broken."""
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            store.create([new_job()])
    finally:
        client.replicaof("NO", "ONE")

    assert state(store, pending(store)) == "pending"


@pytest.fixture
def busy_server(client):
    """A server that runs somebody's endless script, until the test is over."""
    threshold = client.config_get("busy-reply-threshold")["busy-reply-threshold"]
    client.config_set("busy-reply-threshold", "1")
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(client.eval, "while true do end", 0)
        poll(lambda: _is_busy(client))
        yield
        client.script_kill()
        with pytest.raises(redis.ResponseError, match="killed"):
            endless.result(30)
    client.config_set("busy-reply-threshold", threshold)


def _is_busy(client):
    try:
        client.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


def test_a_busy_server_is_unavailable(store, busy_server):
    """Nothing is wrong with what it was asked, and it may be asked again."""
    for ask in (lambda: claim(store, "a"), lambda: store.create([new_job()]), store.ping):
        with pytest.raises(StoreUnavailable, match="BUSY"):
            ask()


@pytest.mark.parametrize("missing", ["-evalsha", "-hset", "-time"])
def test_a_server_that_denies_rights_is_unavailable(store, settings, client, missing):
    """Whether for the whole script or for a command in it: an operator may give them."""
    pending(store, delay_ms=1)
    poll(lambda: store.take_due(0)[1] == 0)
    client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", missing)
    address = settings.result_backend.replace("redis://", "redis://poor:pw@")
    poor = open_store(replace(settings, result_backend=address))
    try:
        for ask in (lambda: poor.create([new_job()]), lambda: poor.take_due(10)):
            with pytest.raises(StoreUnavailable):
                ask()
    finally:
        poor.close()
        client.execute_command("ACL", "DELUSER", "poor")


def test_a_wrong_password_is_unavailable(settings):
    """It may be that of tomorrow."""
    address = settings.result_backend.replace("redis://", "redis://nobody:pw@")
    store = open_store(replace(settings, result_backend=address))

    with pytest.raises(StoreUnavailable, match=r"(?i)password|auth"):
        store.ping()
    store.close()


def test_a_replica_without_its_primary_is_unavailable(store, client):
    """It says nothing at all until it has one."""
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            claim(store, "a")
    finally:
        client.replicaof("NO", "ONE")
        client.config_set("replica-serve-stale-data", "yes")


def test_a_damaged_record_is_no_outage(store, client, key_prefix):
    """What fails at one job's data is told apart from a store that is away: others go well."""
    damaged, odd = pending(store), pending(store)
    client.hset(f"{key_prefix}j:{damaged}", "attempt", "some")
    client.delete(f"{key_prefix}j:{odd}")
    client.set(f"{key_prefix}j:{odd}", "text")

    assert {claim(store, each).kind for each in (damaged, odd)} == {"fault"}
    for each in (damaged, odd):
        with pytest.raises(StoreFault):
            store.get([each])
    assert claim(store, pending(store)).kind == "run"


def odd_jobs(store, client, key_prefix, make):
    """Return a job between two damaged ones, each in a way of its own, in what `make` brings about."""
    first, good, last = (make() for _ in range(3))
    client.hdel(f"{key_prefix}j:{first}", "queue", "body", "attempt")
    client.delete(f"{key_prefix}j:{last}")
    client.set(f"{key_prefix}j:{last}", "no record")
    return good


def test_a_damaged_record_keeps_no_other_from_its_turn(store, client, key_prefix):
    """Of those that are due, unconfirmed, past their keeping, or owed a reply."""

    def ended(**fields):
        job_id, token = running(store)
        settle(store, job_id, token, ttl_ms=0, **fields)
        return job_id

    def asked():
        job_id = pending(store)
        store.request_replies([ReplyRequest(job_id, "somewhere", "")])
        settle(store, job_id, claim(store, job_id).token)
        return job_id

    heartbeat(store)
    due = odd_jobs(store, client, key_prefix, lambda: pending(store, delay_ms=1))
    poll(lambda: [ready.id for ready in store.take_due(10)[0]] == [due])
    store.mark_published([(due, 2**50)])
    unconfirmed = odd_jobs(store, client, key_prefix, lambda: pending(store))
    assert [ready.id for ready in store.unpublished(-1, 10)] == [unconfirmed]
    old = odd_jobs(store, client, key_prefix, ended)
    poll(lambda: store.prune(10))
    assert store.get([old]) == [None]
    owed = odd_jobs(store, client, key_prefix, asked)
    assert owed in [each.job_id for each in store.take_replies(1000, 10)[0]]


@pytest.mark.parametrize("damage", ["no hash", "no body", "no set"])
def test_what_is_damaged_of_a_limit_keeps_no_other_from_its_turn(store, client, key_prefix, damage):
    """A held job's record, or what is kept of one limit: what is due goes, and is counted."""
    declare_limits(store, Limits(concurrency=1))
    heartbeat(store)
    tokens: dict[str, int] = {}
    held: dict[str, list[str]] = {}
    for limit in ("a", "b"):
        first = pending(store)
        tokens[first] = claim(store, first, task="add", limit_key=limit).token
        held[limit] = [pending(store) for _ in range(2)]
        for each in held[limit]:
            assert claim(store, each, task="add", limit_key=limit).kind == "limited"
    due = pending(store, delay_ms=1)
    for attempt in tokens.items():
        settle(store, *attempt)
    bad = held["a"][0]
    if damage == "no body":
        client.hdel(f"{key_prefix}j:{bad}", "body")
    else:
        broken = f"j:{bad}" if damage == "no hash" else "slots:add|a"
        client.delete(f"{key_prefix}{broken}")
        client.set(f"{key_prefix}{broken}", "damaged")

    taken: set[str] = set()
    good = {due, held["b"][0], *(held["a"][1:] if damage != "no set" else ())}

    def take():
        taken.update(each.id for each in store.take_due(10)[0])
        return taken == good

    poll(take)

    assert counts(store) == {
        QUEUE: {"completed": 2, "pending": len(good), "scheduled": 5 - len(good)}
    }
    assert store.take_due(10)[0] == []


def test_a_damaged_record_keeps_no_suspect_from_its_turn(store, client, key_prefix):
    """It comes again a minute later, and no lone process is started for it meanwhile."""
    first, second, good = (suspect(store) for _ in range(3))
    client.delete(f"{key_prefix}j:{first}")
    client.set(f"{key_prefix}j:{first}", "no record")
    client.hset(f"{key_prefix}j:{second}", "attempt", "some")

    found = store.take_suspect([QUEUE], HOUR_MS)

    assert (found.id, store.suspects([QUEUE])) == (good, 0)
    assert client.zcount(f"{key_prefix}suspects:{QUEUE}", "-inf", "+inf") == 3


@pytest.mark.parametrize("body", [b"\xff{", None])
def test_a_suspect_that_cannot_be_read_is_given_out_as_it_is(store, client, key_prefix, body):
    """Whoever takes it ends it."""
    job_id = suspect(store)
    if body is None:
        client.hdel(f"{key_prefix}j:{job_id}", "body")
    else:
        client.hset(f"{key_prefix}j:{job_id}", "body", body)

    found = store.take_suspect([QUEUE], HOUR_MS)

    assert (found.id, found.attempt) == (job_id, 2)
    assert found.body.encode(errors="surrogateescape") == (body or b"")


def test_what_has_no_form_in_the_store_is_no_outage(store):
    """It is refused before the server is asked."""
    for odd in ({"priority": 2**70}, {"task": "\ud800"}):
        with pytest.raises(Unstorable):
            store.create([replace(new_job(), **odd)])


@pytest.fixture
def full_server(client):
    """A function that fills the server, or makes room again."""
    yield lambda limit: client.config_set("maxmemory", limit)
    client.config_set("maxmemory", "0")


def test_a_full_server_refuses_before_it_writes(store, full_server):
    """Nothing is half done: each job is where it was, and goes on when there is room again."""
    due = pending(store, delay_ms=1)
    poll(lambda: store.take_due(0)[1] == 0)
    job_id, token = running(store)

    full_server("1mb")
    for refused in (
        lambda: store.create([new_job()]),
        lambda: store.take_due(10),
        lambda: settle(store, job_id, token, "retrying"),
        lambda: store.lost("r1", HOUR_MS, 10),
        lambda: store.cancel([due], HOUR_MS),
    ):
        with pytest.raises(StoreUnavailable):
            refused()
    assert get(store, job_id).id == job_id
    assert store.heartbeat("w1", {}, HOUR_MS, [(job_id, token)]).lost == []
    full_server("0")

    assert [ready.id for ready in store.take_due(10)[0]] == [due]
    assert settle(store, job_id, token, "retrying")


def test_a_full_server_still_makes_room(store, full_server):
    """Records whose time is over go, and so do refused submissions."""
    job_id, token = running(store)
    settle(store, job_id, token, ttl_ms=0)
    refused = pending(store)

    full_server("1mb")
    assert store.prune(10) == 1
    store.withdraw([refused])

    assert store.get([job_id, refused]) == [None, None]


def test_a_full_server_still_lists_jobs(store, full_server):
    """An operator has to see what fills it."""
    job_id, _ = running(store)

    full_server("1mb")

    for wanted in (Filter(), Filter(states=("running",)), Filter(task="add")):
        assert [job.id for job in store.find(wanted).jobs] == [job_id]
        assert store.count(wanted).count == 1


def test_a_full_server_still_tells_what_is_lost(store, client, settings, full_server):
    """The verification looks; what it finds is put right once there is room."""
    job_id = pending(store)
    client.zrem(f"{settings.key_prefix}ready:{QUEUE}", job_id)

    full_server("1mb")

    (found,) = store.check_records("0", 100).findings
    assert (found.id, found.problem, found.is_repaired) == (job_id, "not_ready", False)
    with pytest.raises(StoreUnavailable):
        store.check_records("0", 100, is_repair=True)

    full_server("0")
    (found,) = store.check_records("0", 100, is_repair=True).findings
    assert found.is_repaired


def test_a_full_server_still_knows_its_keys(store, full_server):
    """Whoever makes room in it over REST has to get in, and no key that is revoked."""
    key = NewKey(id="a", name="ci", digest="0", scopes=("admin",), requests=1, per_ms=1000)
    store.add_key(key, max_keys=1)

    full_server("1mb")

    assert [found.id for found in store.key_ring().keys] == ["a"]
    assert [m.used for m in store.use_keys([Use("a", 1, 1000, is_noted=True)] * 2)] == [1, 2]
    assert store.revoke_keys(["a"]) == ["a"]
    assert store.forget_keys(["a"]) == ["a"]


def test_the_record_of_a_usual_job_is_kept_in_one_piece(store, client, key_prefix):
    """While it waits, and once it has ended: Redis is started so, for users and for tests."""
    waits, (ends, token) = pending(store, args=["x" * 1000], delay_ms=HOUR_MS), running(store)
    settle(store, ends, token, result='"done"')

    encodings = [client.object("encoding", f"{key_prefix}j:{each}") for each in (waits, ends)]

    assert encodings == ["listpack", "listpack"]


def test_a_server_that_would_throw_jobs_away_is_refused(store, client):
    """Eviction with a memory limit is an error; without a limit, and no append-only file, a warning."""
    policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
    appendonly = client.config_get("appendonly")["appendonly"]
    try:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        assert [
            word
            for line in store.check()
            for word in line.split()
            if word in ("maxmemory-policy", "appendonly")
        ] == ["maxmemory-policy", "appendonly"]
        client.config_set("maxmemory", "1gb")
        with pytest.raises(ConfigurationError, match="allkeys-lru"):
            store.check()
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", policy)
        client.config_set("appendonly", appendonly)


def test_no_token_is_given_out_twice(store, client, settings):
    """Not even by a server that forgot its latest ones, as after a failover: old outcomes stay refused."""
    fence = f"{settings.key_prefix}fence"
    job_id, token = running(store)
    before = client.get(fence)
    running(store)
    client.set(fence, before)

    store.end_lease("w1", None)
    tokens = [lost.token for lost in store.lost("r1", HOUR_MS, 10)]
    tokens.append(running(store, owner="w2")[1])

    assert token < min(tokens)
    assert len(set(tokens)) == 3
    client.set(fence, 1)
    assert running(store, owner="w2")[1] > max(tokens)
    assert not settle(store, job_id, token)


def test_claim_calls_are_forgotten_once_they_are_over(store, client, settings):
    """There are hundreds a second; an owner that has ended leaves none."""
    calls = f"{settings.key_prefix}calls:w1"
    ids = [pending(store) for _ in range(2)]
    held = [(job_id, claim(store, job_id, call=n).token) for n, job_id in enumerate(ids, 1)]
    claim(store, pending(store), call=3)
    assert client.zcard(calls) == 3

    store.heartbeat("w1", {}, HOUR_MS, held, over=2)

    assert client.zrange(calls, 0, -1, withscores=True)[0][1] == 3
    assert client.zcard(calls) == 1
    store.end_lease("w1", None)
    assert not client.exists(calls)


def test_claim_calls_of_an_owner_that_never_lived_are_forgotten(store, client, settings):
    """No heartbeat of it has ever come."""
    job_id = pending(store)
    claim(store, job_id, call=1)
    client.zadd(f"{settings.key_prefix}leases", {"w1": 1})

    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [job_id]

    assert not client.exists(f"{settings.key_prefix}calls:w1")


def test_a_call_under_way_after_an_hour_without_the_store_is_known(store, client, settings):
    """Its worker is forgotten with others that were not heard of, and is heard of a moment later."""
    store.heartbeat("w1", {}, HOUR_MS, [], over=4)
    client.hset(f"{settings.key_prefix}workers", "w1", "1|{}")
    job_id = pending(store)
    token = claim(store, job_id, call=5).token

    store.prune(10)

    assert store.heartbeat("w1", {}, HOUR_MS, [], over=4).given_back == []
    assert settle(store, job_id, token)


@pytest.mark.parametrize("damage", ["gone", "no hash", "no number"])
def test_a_damaged_record_ends_no_lease(store, client, settings, damage):
    """A heartbeat is about all jobs of a worker: one that cannot be read is none of its worries."""
    sound = running(store)
    told, untold = running(store), running(store)
    for job_id, _ in (told, untold):
        key = f"{settings.key_prefix}j:{job_id}"
        if damage == "no number":
            client.hset(key, mapping={"attempt": "x"})
        else:
            client.delete(key)
        if damage == "no hash":
            client.set(key, "x")

    beat = store.heartbeat("w1", {}, HOUR_MS, [sound, told], over=1)

    assert beat.lost == ([] if damage == "no number" else [told[0]])
    assert beat.given_back == []
    assert settle(store, *sound)


def test_tokens_grow_though_the_clock_steps_back(store, client, settings):
    """They go on from the last one, whatever the time is."""
    ahead = 2_000_000_000_000_000
    client.set(f"{settings.key_prefix}fence", ahead)

    held = [running(store) for _ in range(3)]

    assert [token for _, token in held] == [ahead + 1, ahead + 2, ahead + 3]
    assert [settle(store, *each) for each in held] == [True] * 3


def test_two_prefixes_share_a_server(settings):
    """Two installations on one Redis see nothing of each other."""
    one = open_store(settings)
    other = open_store(
        config.load(result_backend=settings.result_backend, key_prefix=f"{settings.key_prefix}b:")
    )
    job_id = pending(one)

    assert other.get([job_id]) == [None]
    one.close()
    other.close()


def test_a_thousand_attempts_fit_into_a_record(store, client, key_prefix):
    """With the longest error each, and the longest progress, it stays under 256 KiB."""
    heartbeat(store)
    job_id = pending(store)
    error = describe(ValueError("\0" * 100_000), "retries_exhausted")
    told: list[Progress] = []
    CurrentJob(job_id, "add", 1, told.append).progress(1e300, 1e300, "\0" * 10_000)

    for number in range(1, 1_001):
        outcome = Outcome(
            job_id,
            claim(store, job_id, number).token,
            "retrying",
            error=msgspec.json.encode(error).decode(),
            is_crash=True,
            progress=msgspec.json.encode(told[0]).decode(),
        )
        store.settle([outcome])
        store.take_due(1)

    job = get(store, job_id)
    assert (job.attempt, len(job.attempts), job.attempts_omitted) == (1_000, 25, 975)
    assert client.memory_usage(f"{key_prefix}j:{job_id}", samples=0) < 256 * 1024
    assert len(msgspec.json.encode(document(job))) < 256 * 1024


def test_a_record_of_an_earlier_version_shrinks(store, client, key_prefix):
    """One that kept every attempt is shown as others are, and loses the middle as the next one ends."""
    heartbeat(store)
    job_id = pending(store)
    record = f"{key_prefix}j:{job_id}"
    attempt = {"worker": "w", "started_at": 1, "finished_at": 2, "outcome": "failed"}
    kept = {f"a:{n}": json.dumps({"number": n, **attempt}) for n in range(1, 301)}
    client.hset(record, mapping={"attempt": 300, **kept})

    before = get(store, job_id)
    settle(store, job_id, claim(store, job_id, 301).token)

    assert [each.number for each in before.attempts] == [1, 2, 3, 4, 5, *range(281, 301)]
    assert before.attempts_omitted == 275
    numbers = {name for name in client.hkeys(record) if name.startswith("a:")}
    assert numbers == {f"a:{n}" for n in (1, 2, 3, 4, 5, *range(282, 302))}
