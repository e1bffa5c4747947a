"""Suspects that can never run: each ends once, with its reason, and holds up no other."""

import json

import pytest
import redis

from services.worker.consuming.suspects import RESERVE_S
from taskyard.message import revise
from tests import worker_tasks as tasks
from tests.contract.test_suspects import suspect
from tests.polling import poll

#: How a record is damaged, or too large for a limit that was lowered; and what its dead letter says.
UNFIT = {
    "other bytes": ("undecodable", 0),
    "no message": ("invalid", 0),
    "no body": ("undecodable", 0),
    "too large": ("too_large", 2),
}


@pytest.fixture
def yard(make_yard):
    return make_yard(PAYLOAD_MAX_BYTES="4096")


@pytest.fixture
def server(yard):
    with redis.Redis.from_url(yard.settings.result_backend, decode_responses=True) as client:
        yield client


def make_unfit(server, key, how):
    """Change a record so that its job can never run."""
    if how == "no body":
        server.hdel(key, "body")
        return
    large = revise(server.hget(key, "body"), args=["x" * 9_000])
    server.hset(
        key,
        "body",
        {"other bytes": b"\xff", "no message": '{"options": 7}', "too large": large}[how],
    )


def test_suspects_that_can_never_run_end_with_their_letters(yard, server):
    """One dead letter of each, and a record that says the same; the next are tried in their turn."""

    def key(job_id):
        return f"{yard.settings.key_prefix}j:{job_id}"

    def made():
        return suspect(yard.store, task=tasks.add.name, queue=yard.queue, args=[1])

    lost, *unfit, good = (made() for _ in range(len(UNFIT) + 2))
    server.delete(key(lost))
    server.set(key(lost), "no record")
    for job_id, how in zip(unfit, UNFIT, strict=True):
        make_unfit(server, key(job_id), how)
    worker = yard.worker()

    with yard.running(worker):
        assert yard.ended(good).state == "completed"
        poll(lambda: [server.hget(key(each), "state") for each in unfit] == ["failed"] * len(unfit))
        poll(lambda: len(worker.children()) == 1)  # nothing is left to be tried alone

    attempts = [json.loads(server.hget(key(each), "a:2")) for each in unfit]
    told = [each["error"]["reason"] for each in attempts]
    assert told == [reason for reason, _ in UNFIT.values()]
    assert yard.dead_messages() == len(UNFIT)
    letters = [yard.dead_letter()[0].headers for _ in UNFIT]
    assert sorted(
        (each["taskyard-reason"], each["taskyard-attempts"]) for each in letters
    ) == sorted(UNFIT.values())
    assert yard.store.suspects([yard.queue]) == 0
    (counted,) = [row.states for row in yard.store.counts() if row.queue == yard.queue]
    assert counted == {"completed": 1, "failed": len(UNFIT), "retrying": 1}


@pytest.fixture
def alarm(rabbit):
    """A function that has the broker block every publisher, or lets them go on."""

    def switch(is_on):
        rabbit.control("set_vm_memory_high_watermark", "0.00001" if is_on else "0.4")

    yield switch
    switch(False)


def heard_at(yard):
    """Return when the lone process was last heard of, by the store's clock in milliseconds; 0: never."""
    return max(
        (each["last_seen_at"] for each in yard.store.workers() if each.get("is_lone")), default=0
    )


def test_the_next_suspect_waits_until_the_end_of_the_one_before_is_known(make_yard, alarm):
    """While its dead letter waits for RabbitMQ, one that kills the process would have it run again."""
    yard = make_yard(LEASE_S="60", MAX_RETRIES="0")
    gate = yard.new_gate()
    failing = suspect(yard.store, task=tasks.fail_when_open.name, queue=yard.queue, args=[gate])
    deadly = suspect(yard.store, task=tasks.crash.name, queue=yard.queue, args=["kill"])

    alarm(True)
    with yard.running(yard.worker(), yard.scheduler()):
        began = yard.await_event("waits", failing)
        yard.open(gate)
        poll(lambda: heard_at(yard) / 1000 > began.time + 2 * RESERVE_S)
        assert yard.job(deadly).attempt == 1
        alarm(False)

        assert yard.ended(failing).error.reason == "retries_exhausted"
        assert yard.ended(deadly).error.reason == "crash_loop"
    assert len(yard.events("waits", failing)) == 1
