"""Messages of every kind at both doors of RabbitMQ: each becomes a job or a dead letter, and nothing ends."""

import random

import pytest

from taskyard.message import new_id
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, dead_queue
from tests import fuzz
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import metric

COUNT = 400
REASONS = {"invalid", "undecodable", "too_large"}


@pytest.fixture(scope="module")
def yard(make_yard):
    """A yard with a worker and a scheduler, and the intake's dead letters to itself."""
    yard = make_yard()
    yard.scheduling, yard.working = yard.scheduler(), yard.worker()
    with yard.running(yard.working, yard.scheduling):
        poll(lambda: yard.store.tasks() and yard.store.queues())
        poll(lambda: yard.ready_messages(INTAKE_QUEUE) == 0)
        reasons(yard, INTAKE_QUEUE)  # what others have left
        yield yard
        reasons(yard, INTAKE_QUEUE)


@pytest.fixture(autouse=True)
def _nothing_ends(yard):
    """No process is replaced, and no error is of a kind that the code does not know."""
    before = [child.pid for child in yard.working.children()]
    yield
    assert [child.pid for child in yard.working.children()] == before
    assert yard.scheduling.is_running
    assert [line for line in yard.lines if '"exception"' in line or "Traceback" in line] == []


def publish(yard, messages, *, exchange="", key=""):
    """Publish (body, properties), confirmed."""
    with yard.channel() as channel:
        channel.confirm_delivery()
        for body, properties in messages:
            channel.basic_publish(exchange, key, body, properties, mandatory=True)


def reasons(yard, queue):
    """Return the reason of each dead letter, and take them away."""
    with yard.channel() as channel:
        found = []
        while (got := channel.basic_get(dead_queue(queue), auto_ack=True))[0] is not None:
            found.append(got[1].headers["taskyard-reason"])
        return found


@pytest.mark.parametrize("seed", [1])
def test_every_submission_becomes_a_job_or_a_dead_letter(yard, seed):
    """The good ones among them are jobs, and run."""
    rng = random.Random(seed)
    ids = [f"{yard.queue}-{seed}-{n}" for n in range(COUNT)]
    messages = [
        (
            fuzz.body(rng, {"task": tasks.add.name, "args": [1], "id": name, "queue": yard.queue}),
            fuzz.properties(rng, kinds=fuzz.OF_RABBITMQ),
        )
        for name in ids
    ]

    def counted():
        return [
            metric(yard.scheduling, "taskyard_intake_messages_total", outcome=outcome)
            for outcome in ("accepted", "refused")
        ]

    before = counted()
    publish(yard, messages, exchange=SUBMIT_EXCHANGE)

    poll(lambda: sum(counted()) - sum(before) == COUNT, 60)
    accepted, refused = (now - then for now, then in zip(counted(), before, strict=True))
    told = reasons(yard, INTAKE_QUEUE)
    assert (len(told), set(told) - REASONS) == (refused, set())
    known = [name for name in ids if yard.job(name)]
    assert COUNT / 40 < len(known) <= accepted
    assert {yard.ended(name).state.value for name in known} <= {"completed", "expired", "failed"}


@pytest.mark.parametrize("seed", [2])
def test_every_message_on_a_work_queue_is_a_job_or_a_dead_letter(yard, seed):
    """Each is one of the two, and the queue is empty at the end."""
    rng = random.Random(seed)
    yard.forget_dead_letters()
    messages = []
    for _ in range(COUNT):
        good = {
            "queue_name": yard.queue,
            "actor_name": tasks.add.name,
            "args": [1],
            "kwargs": {},
            "options": {},
            "message_id": new_id(),
            "message_timestamp": 1_790_000_000_000,
        }
        messages.append((fuzz.body(rng, good), fuzz.properties(rng, kinds=fuzz.OF_RABBITMQ)))
    done = yard.working.metric("taskyard_jobs_finished_total", queue=yard.queue)

    publish(yard, messages, key=yard.queue)

    def ended():
        finished = yard.working.metric(
            "taskyard_jobs_finished_total", queue=yard.queue, outcome="completed"
        )
        return finished - done + yard.dead_messages()

    poll(lambda: ended() == COUNT, 60)
    told = reasons(yard, yard.queue)
    assert COUNT / 4 < len(told) < COUNT
    assert set(told) <= REASONS | {"unknown_task"}
