"""Claims that a worker never hears the answer to: their jobs run, once, and while that worker lives."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from taskyard.request import parse
from taskyard.store.attempts import Claim
from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.nemesis.links import Links
from tests.polling import poll

#: No lease ends and no relay comes while a test lasts: what runs again was given back.
ENV = {"LEASE_S": "60", "STORE_TIMEOUT_S": "1", "RELAY_AFTER_S": "300"}
#: A child that finds no connection open cannot even ask while its answers are held; then another try is made.
TRY_S = 3.0


@pytest.fixture
def yard(make_yard):
    """A yard of its own, with a scheduler that reaches both servers."""
    yard = make_yard(**ENV)
    with yard.running(yard.scheduler()):
        yield yard


@pytest.fixture
def links(yard, redis_server) -> Iterator[Links]:
    """The way of a worker that runs to the `store`."""
    links = Links()
    links.start()
    worker = yard.worker(
        RESULT_BACKEND=f"redis://127.0.0.1:{links.open('store', redis_server.port)}/0"
    )
    with yard.running(worker):
        yield links
    links.stop()


@contextmanager
def unheard(yard, links) -> Iterator[list[str]]:
    """Give jobs, some of which the worker has claimed while it hears no answer of the store."""
    ids: list[str] = []
    poll(lambda: _is_claimed_unheard(yard, links, ids))
    yield ids
    links.set_mode("store", "pass")


def _is_claimed_unheard(yard, links, ids):
    before = yard.submit_many(tasks.echo, 50)
    poll(lambda: yard.states(before) == {"completed": 50})
    links.set_mode("store", "mute")
    last = yard.submit_many(tasks.note, 2)
    ids += last
    try:
        # Both: the next call would wait for the answers to its connection's greeting.
        return poll(lambda: (now := yard.states(last))["running"] and not now["pending"], TRY_S)
    except AssertionError:
        links.set_mode("store", "pass")
        poll(lambda: yard.states(ids) == {"completed": len(ids)})
        return 0


def assert_ran_once(yard, ids):
    """They complete, each has run once, and has lost no attempt."""
    poll(lambda: yard.states(ids) == {"completed": len(ids)})
    for job_id in ids:
        assert len(yard.events("ran", job_id)) == 1
        assert [each.outcome for each in yard.job(job_id).attempts] == ["completed"]
    assert yard.store.check_records("0", 1000).findings == []


def test_a_claim_that_is_answered_ten_seconds_late_runs_once(yard, links):
    """The worker has given up waiting long before, and asks again."""
    with unheard(yard, links) as ids:
        began = time.monotonic()
        poll(lambda: time.monotonic() > began + 10)

    assert_ran_once(yard, ids)


def test_a_claim_whose_message_goes_to_another_worker_is_not_lost(yard, links):
    """That one acknowledges it, for the job is held: nothing but its record is left."""
    other = yard.worker()
    with yard.running(other):
        with unheard(yard, links) as ids:
            poll(lambda: other.metric("taskyard_messages_skipped_total", verdict="leased"))

        assert_ran_once(yard, ids)


def test_a_claim_of_a_queue_that_is_paused_runs_when_it_is_resumed(yard, links):
    """The worker hands its messages back before it has asked again."""
    with unheard(yard, links) as ids:
        yard.store.pause("queue", yard.queue, {})
    poll(lambda: yard.states(ids)["running"] == 0)
    yard.store.resume("queue", yard.queue)

    assert_ran_once(yard, ids)


def test_a_claim_whose_queue_is_deleted_is_published_anew(yard, links):
    """No message of it is left anywhere."""
    with unheard(yard, links) as ids, yard.channel() as channel:
        poll(lambda: yard.ready_messages() == yard.states(ids)["running"])
        channel.queue_delete(yard.queue)

    assert_ran_once(yard, ids)


# What a claim leaves behind that comes to the store when its worker has long given it up


@pytest.fixture
def worker(yard):
    """A worker that has claimed before."""
    worker = yard.worker()
    with yard.running(worker):
        yard.come_to_rest()
        yield worker


def claim_late(yard, task, *args):
    """Let the first claim of the worker arrive, for two jobs that have no message; return their ids."""
    (owner,) = [each["id"] for each in yard.store.workers()]
    asked = parse({"task": task.name, "args": list(args), "queue": yard.queue})
    jobs = [yard.client.prepare(task.options, asked) for _ in range(2)]
    yard.store.create(jobs)
    claims = [Claim(job.id, 1, yard.queue, task=job.task) for job in jobs]
    verdicts = yard.store.claim(owner, owner, claims, call=1)
    assert [verdict.kind for verdict in verdicts] == ["run", "run"]
    return [job.id for job in jobs]


def test_a_claim_that_comes_after_its_worker_gave_it_up_is_given_back(yard, worker):
    """With the worker's next heartbeat, which counts it; then it is published and runs."""
    ids = claim_late(yard, tasks.note)

    assert_ran_once(yard, ids)
    poll(lambda: worker.metric("taskyard_jobs_given_back_total") == 2)
    given_back = yard.logged(event="job given back: its claim was never answered")
    assert {line["job_id"] for line in given_back} == set(ids)


def test_its_slots_of_a_limit_come_free(yard, worker):
    """Two may run at a time: with two that nobody runs, none would."""
    unheard_ids = claim_late(yard, tasks.in_pairs)
    behind = yard.submit_many(tasks.in_pairs, 2)

    poll(lambda: yard.states(unheard_ids + behind) == {"completed": 4})


def test_a_worker_that_stops_gives_it_back(yard):
    """It is not left behind as lost, which counts against a job."""
    stopping = yard.worker(HEARTBEAT_S="15")
    with yard.running(stopping):
        yard.come_to_rest()
        ids = claim_late(yard, tasks.note)
        stopping.stop()
    with yard.running(yard.worker()):
        assert_ran_once(yard, ids)


# What a failover leaves behind


def rolled_back(yard, since):
    """Have the store forget all that was written since a look at it, as by a replica that was behind."""
    with redis.Redis.from_url(yard.settings.result_backend) as server:
        pipeline = server.pipeline(transaction=True)
        for key in server.scan_iter(f"{yard.settings.key_prefix}*", count=10_000):
            pipeline.delete(key)
        for key, value in since.items():
            pipeline.restore(key, 0, value)
        pipeline.execute()


def look(yard):
    """Return all that the store has."""
    with redis.Redis.from_url(yard.settings.result_backend) as server:
        keys = list(server.scan_iter(f"{yard.settings.key_prefix}*", count=10_000))
        return dict(zip(keys, map(server.dump, keys), strict=True))


def test_a_job_whose_end_is_forgotten_runs_again(yard, worker):
    """Its message was acknowledged; one that ran all the time goes on."""
    gates = yard.new_gate(), yard.new_gate()
    forgotten, other = (yard.submit(tasks.wait_at, gate) for gate in gates)
    for handle in (forgotten, other):
        yard.await_event("waits", handle.id)
    heard_at = last_heard(yard)
    poll(lambda: last_heard(yard) > heard_at)
    before = look(yard)
    yard.open(gates[0])
    assert forgotten.get(timeout=30) == gates[0]

    rolled_back(yard, before)

    assert yard.ended(forgotten.id).state == "completed"
    assert len(yard.events("waits", forgotten.id)) == 2
    yard.open(gates[1])
    assert yard.ended(other.id).state == "completed"
    assert len(yard.events("waits", other.id)) == 1


# What looks like it and is none


def test_a_job_between_its_end_and_its_settle_is_not_given_back(yard, rabbit, worker):
    """It has ended and waits for its dead letter, for many heartbeats."""
    gate = yard.new_gate()
    handle = yard.submit(tasks.fail_at, gate)
    yard.await_event("waits", handle.id)
    rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        yard.open(gate)
        poll(lambda: any("dead_letters waits" in line for line in list(yard.lines)))
        heard_at = last_heard(yard)
        poll(lambda: last_heard(yard) > heard_at + 1_000)
        assert handle.state == "running"
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")

    assert yard.ended(handle.id).state == "failed"
    assert len(yard.events("waits", handle.id)) == 1
    assert worker.metric("taskyard_jobs_given_back_total") == 0


def last_heard(yard):
    """Return when the only worker was last heard of, in milliseconds since 1970."""
    return max(each["last_seen_at"] for each in yard.store.workers())


def test_redis_and_rabbitmq_restarting_together_leave_no_job_behind(yard, rabbit, redis_server):
    """As by `docker compose restart`, while two workers are busy."""
    ledger = Ledger(yard)
    with yard.running(yard.worker(WORKER_THREADS="8"), yard.worker(WORKER_THREADS="8")):
        ids = yard.submit_many(tasks.busy, 400, 0.02)
        ledger.add(*ids)
        poll(lambda: yard.states(ids)["completed"] > 50)

        redis_server.stop()
        rabbit.stop()
        redis_server.start()
        rabbit.start()
        redis_server.wait_ready()
        rabbit.wait_ready()

        assert ledger.settle() == {"completed": 400}
