"""Jobs whose message no worker takes: each ends once, with a record and a dead letter that say the same."""

import json

import pytest
import redis

from taskyard.message import new_id
from tests import worker_tasks as tasks
from tests.contract.jobs import claim, pending, settle
from tests.integration.worker.test_suspects import UNFIT, make_unfit
from tests.polling import poll


@pytest.fixture
def yard(make_yard):
    return make_yard()


@pytest.fixture
def key(yard):
    """A function that gives the key of a job's record."""
    return lambda job_id: f"{yard.settings.key_prefix}j:{job_id}"


@pytest.fixture
def server(yard):
    with redis.Redis.from_url(yard.settings.result_backend) as client:
        yield client


def small(yard):
    """Return a worker that takes smaller messages than the others send."""
    return yard.worker(PAYLOAD_MAX_BYTES="4096")


def letters(yard):
    """Return the headers of all dead letters, as soon as there is one."""
    first = yard.dead_letter()[0].headers
    return [first, *(yard.dead_letter()[0].headers for _ in range(yard.dead_messages()))]


def test_a_message_that_is_too_large_for_its_worker_fails_its_job(yard):
    """Who submitted it learns of it, and its letter can be replayed to a worker that takes it."""
    with yard.running(small(yard)):
        job = yard.submit(tasks.echo, "x" * 20_000)
        ended = yard.ended(job.id)

    assert (ended.state, ended.error.reason) == ("failed", "too_large")
    (letter,) = letters(yard)
    assert (letter["taskyard-reason"], letter["taskyard-attempts"]) == ("too_large", 1)


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("how", ["other bytes", "no message", "too large"])
def test_a_record_that_no_worker_takes_is_published_once(yard, server, key, how, attempt):
    """Whatever is wrong with it, and whichever attempt it comes to."""
    job_id = pending(yard.store, task=tasks.echo.name, queue=yard.queue, args=[1])
    if attempt == 2:
        verdict = claim(yard.store, job_id, queue=yard.queue)
        settle(yard.store, job_id, verdict.token, "retrying")
    make_unfit(server, key(job_id), how)

    with yard.running(small(yard), yard.scheduler()):
        poll(lambda: server.hget(key(job_id), "state") == b"failed")
        yard.submit(tasks.echo, 1).get(timeout=30)

    reason, _ = UNFIT[how]
    told = json.loads(server.hget(key(job_id), f"a:{attempt}"))
    assert told["error"]["reason"] == reason
    (letter,) = letters(yard)
    assert letter["taskyard-reason"] == reason


def test_a_message_of_no_job_is_a_dead_letter_alone(yard):
    """Its id need not be one of ours."""
    job_id = new_id()
    with yard.running(small(yard)):
        yard.publish(b"{", message_id=job_id)
        (letter,) = letters(yard)

    assert (letter["taskyard-reason"], letter["taskyard-attempts"]) == ("undecodable", 0)
    assert yard.job(job_id) is None


def test_a_message_that_comes_again_makes_no_second_letter(yard):
    """As where its worker died before it could acknowledge it."""
    with yard.running(small(yard)):
        job = yard.submit(tasks.echo, "x" * 20_000)
        yard.ended(job.id)
        yard.publish(yard.body(tasks.echo.name, "x" * 20_000), message_id=job.id)
        yard.submit(tasks.echo, 1).get(timeout=30)
        poll(lambda: yard.ready_messages() == 0)

    assert len(letters(yard)) == 1
