"""Messages straight to a work queue, by anyone and of any shape: they run once, or die with the reason."""

import json
import time

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from taskyard.message import new_id
from taskyard.store.jobs import Change
from tests import worker_tasks as tasks
from tests.polling import poll

SMALL = {"PAYLOAD_MAX_BYTES": "4096", "UNKNOWN_TASK_TTL": "600"}


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard(**SMALL)
    with yard.running(yard.scheduler()):
        yield yard


@pytest.fixture(scope="module")
def worker(yard):
    worker = yard.worker()
    with yard.running(worker):
        yield worker
        worker.stop()
        assert yard.ready_messages() == 0  # it held nothing back


@pytest.fixture(autouse=True)
def _still_consumes(yard, worker):
    """After each test the same child runs what comes next, and holds nothing back."""
    children = [child.pid for child in worker.children()]
    yield
    handles = [yard.submit(tasks.add, n, 1) for n in range(5)]
    assert [handle.get(timeout=30) for handle in handles] == [1, 2, 3, 4, 5]
    assert [child.pid for child in worker.children()] == children
    yard.forget_dead_letters()


# What runs


@pytest.fixture
def stock_broker(yard):
    """A Dramatiq broker as a program without taskyard has it."""
    broker = RabbitmqBroker(url=yard.settings.broker_url)
    broker.queues.add(yard.queue)  # declared by taskyard, with its own arguments
    yield broker
    broker.close()


def test_a_stock_dramatiq_producer_is_served(yard, worker, stock_broker):
    """Its job gets a record of its own, with the task's defaults and the origin `amqp`."""
    actor = dramatiq.Actor(
        lambda a, b: None,
        broker=stock_broker,
        actor_name="test.add",
        queue_name=yard.queue,
        priority=0,
        options={},
    )

    message = actor.send_with_options(args=(2,), kwargs={"b": 3}, max_retries=7, time_limit=90_000)

    document = yard.client.handle(yard.ended(message.message_id).id).document()
    assert document["state"] == "completed"
    assert document["result"] == 5
    assert document["origin"] == "amqp"
    assert document["args"] == [2]
    assert document["kwargs"] == {"b": 3}
    assert document["max_retries"] == 7
    assert document["timeout_s"] == 90
    assert yard.queue == document["queue"]


def test_a_raw_client_is_served(yard, worker):
    """A body and a priority are all that it needs."""
    job_id = new_id()

    yard.publish(yard.body("test.add", 1, 2, message_id=job_id), priority=7)

    job = yard.ended(job_id)
    assert bytes(job.result) == b"3"
    assert job.message.priority == 7
    assert job.message.options.max_retries == 3
    assert job.message.options.origin == "amqp"


def test_the_queue_that_a_message_came_from_is_its_queue(yard, worker):
    """Whatever its body says."""
    job_id = new_id()

    yard.publish(yard.body("test.add", 1, message_id=job_id, queue_name="elsewhere"))

    assert yard.queue == yard.ended(job_id).queue


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ({"message_timestamp": 0}, {}),
        ({"message_timestamp": 2**62}, {}),
        ({"options": {"max_age": 1e308}}, {}),
        ({"options": {"time_limit": 1e308}}, {}),
        ({"options": {"max_retries": 2**62}}, {}),
        ({"options": {"broker_priority": -(2**62)}}, {}),
        ({"options": {"unknown": {"nested": [None]}}}, {}),
        ({"queue_name": ""}, {}),
        ({"options": {}}, {"priority": 255}),
        ({"options": {}}, {"priority": 0, "message_id": b"\xff", "type": b"\xfe"}),
        ({"options": {}}, {"headers": {"taskyard-attempt": "x"}, "content_type": "image/png"}),
        ({"options": {}}, {"expiration": "60000", "user_id": "guest", "timestamp": 2**40}),
        ({"options": {}}, {"correlation_id": "c", "reply_to": "nowhere"}),
    ],
)
def test_odd_but_valid_messages_run_or_die_and_can_be_read(yard, worker, fields, properties):
    """Extremes are no reason to stop, and the job document can be shown."""
    job_id = new_id()

    yard.publish(yard.body("test.add", 1, 2, message_id=job_id, **fields), **properties)

    def is_over():
        return yard.dead_messages() or yard.job_in("completed", job_id)

    poll(is_over)
    if not yard.dead_messages():
        assert yard.client.handle(job_id).document()["result"] == 3
        assert 0 <= yard.job(job_id).message.priority <= 9


# What cannot run


def without(field, yard):
    envelope = json.loads(yard.body("test.add", 1))
    del envelope[field]
    return json.dumps(envelope).encode()


def nested(yard, levels):
    """Return a message of so many levels, of which two are its own."""
    value = b"[" * (levels - 2) + b"]" * (levels - 2)
    return yard.body("test.echo", "deep").replace(b'"deep"', value)


MALFORMED = {
    "nothing": (lambda yard: b"", "undecodable"),
    "not json": (lambda yard: b"not json", "undecodable"),
    "half of it": (lambda yard: yard.body("test.add", 1)[:-1], "undecodable"),
    "binary": (lambda yard: bytes(range(256)), "undecodable"),
    "no utf-8": (lambda yard: yard.body("test.add", "x").replace(b"x", b"\xff"), "undecodable"),
    "two documents": (lambda yard: yard.body("test.add", 1) * 2, "undecodable"),
    "pickle": (lambda yard: b"\x80\x04\x8c\x02os\x94.", "undecodable"),
    "a number": (lambda yard: b"1", "invalid"),
    "null": (lambda yard: b"null", "invalid"),
    "a list": (lambda yard: b"[]", "invalid"),
    "a submission": (lambda yard: b'{"task":"test.add"}', "invalid"),
    "celery": (lambda yard: b'[[1,2],{},{"callbacks":null}]', "invalid"),
    "no id": (lambda yard: without("message_id", yard), "invalid"),
    "no task": (lambda yard: without("actor_name", yard), "invalid"),
    "no arguments": (lambda yard: without("args", yard), "invalid"),
    "id of another type": (lambda yard: yard.body("test.add", message_id=7), "invalid"),
    "id with a space": (lambda yard: yard.body("test.add", message_id="a b"), "invalid"),
    "id too long": (lambda yard: yard.body("test.add", message_id="a" * 129), "invalid"),
    "args no list": (lambda yard: yard.body("test.add", args={"a": 1}), "invalid"),
    "options null": (lambda yard: yard.body("test.add", options=None), "invalid"),
    "priority 10": (lambda yard: yard.body("test.add", options={"priority": 10}), "invalid"),
    "priority text": (lambda yard: yard.body("test.add", options={"priority": "5"}), "invalid"),
    "retries below 0": (lambda yard: yard.body("test.add", options={"max_retries": -1}), "invalid"),
    "limit 0": (lambda yard: yard.body("test.add", options={"timeout_s": 0}), "invalid"),
    "attempt 0": (lambda yard: yard.body("test.add", 1, options={"attempt": 0}), "invalid"),
    "wrong argument": (lambda yard: yard.body("test.add", "one"), "invalid"),
    "argument missing": (lambda yard: yard.body("test.add"), "invalid"),
    "argument too many": (lambda yard: yard.body("test.add", 1, 2, 3), "invalid"),
    "argument unknown": (lambda yard: yard.body("test.add", 1, kwargs={"c": 1}), "invalid"),
    "too large": (lambda yard: yard.body("test.echo", "x" * 8000), "too_large"),
    "65 levels": (lambda yard: nested(yard, 65), "invalid"),
    "as deep as can be read": (lambda yard: nested(yard, 975), "invalid"),
    "about as deep": (lambda yard: nested(yard, 985), "invalid"),
    "deeper": (lambda yard: nested(yard, 995), "invalid"),
    "too deep": (lambda yard: b'{"a":' * 800 + b"1" + b"}" * 800, "invalid"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("properties", [{}, {"message_id": b"\xff\xfe", "type": b"\xfd"}])
def test_a_malformed_message_is_a_dead_letter_with_the_reason(yard, worker, case, properties):
    """Byte for byte; and the good one behind it runs."""
    make, reason = MALFORMED[case]
    body = make(yard)
    yard.publish(body, **properties)
    good = yard.submit(tasks.add, 1)

    letter, dead = yard.dead_letter()

    assert body == dead
    assert letter.headers["taskyard-reason"] == reason
    assert letter.headers["taskyard-error-message"]
    assert yard.queue == letter.headers["taskyard-queue"]
    assert good.get(timeout=30) == 1


def test_a_message_may_be_as_deep_as_a_submission(yard, worker):
    """64 levels; what its task returns lies less deep in the job."""
    job_id = new_id()
    body = json.loads(nested(yard, 64))

    yard.publish(json.dumps({**body, "message_id": job_id}).encode())

    assert yard.ended(job_id).state.value == "completed"


def test_the_dead_letter_of_a_malformed_message_says_what_is_wrong(yard, worker):
    """The field and what is accepted."""
    yard.publish(yard.body("test.add", 1, options={"priority": 10}))
    assert "$.options.priority" in yard.dead_letter()[0].headers["taskyard-error-message"]

    yard.publish(yard.body("test.add", 1, kwargs={"c": 1}))
    assert "/kwargs/c" in yard.dead_letter()[0].headers["taskyard-error-message"]


def test_a_flood_of_malformed_messages_does_not_hold_up_the_good_ones(yard, worker):
    """All of them are kept."""
    with yard.channel() as channel:
        for n in range(500):
            channel.basic_publish("", yard.queue, b"bad %d" % n)
    good = yard.submit(tasks.add, 1)

    assert good.get(timeout=30) == 1
    poll(lambda: yard.dead_messages() == 500)


def test_an_unknown_task_is_parked(yard, worker):
    """It waits for a worker that knows it, visibly."""
    job_id = new_id()
    yard.publish(yard.body("nobody.knows", 1, message_id=job_id))

    job = poll(lambda: yard.job_in("scheduled", job_id))

    assert job.reason == "unknown_task"
    yard.client.handle(job_id).cancel()


def test_an_unknown_task_is_dead_after_its_time(make_yard):
    """It is kept for UNKNOWN_TASK_TTL and no longer."""
    yard = make_yard(UNKNOWN_TASK_TTL="1")
    with yard.running(yard.worker(), yard.scheduler()):
        job_id = new_id()
        yard.publish(yard.body("nobody.knows", 1, message_id=job_id))

        job = yard.ended(job_id)
        assert job.state == "failed"
        assert job.error.reason == "unknown_task"
        assert job.finished_at - job.created_at >= 1_000
        assert yard.dead_letter()[0].headers["taskyard-reason"] == "unknown_task"


def test_an_unknown_task_runs_when_a_worker_that_knows_it_appears(yard, worker, tmp_path):
    """As when the workers of a rolling deploy learn a task."""
    (tmp_path / "late_tasks.py").write_text(
        "from taskyard import task\n\n\n@task(name='test.late')\ndef late() -> str:\n    return 'at last'\n"
    )
    job_id = new_id()
    yard.publish(yard.body("test.late", message_id=job_id))
    poll(lambda: yard.job_in("scheduled", job_id))

    newer = yard.worker(
        TASK_MODULES="tests.worker_tasks,late_tasks", PYTHONPATH=f"shared:{tmp_path}"
    )
    with yard.running(newer):
        # Half of the tries go to the worker that does not know it.
        assert yard.ended(job_id).state == "completed"


def test_an_expired_message_does_not_run(yard, worker):
    """Dramatiq's `max_age`, counted from its making."""
    job_id = new_id()
    old = round(time.time() * 1000) - 5_000

    yard.publish(
        yard.body("test.note", message_id=job_id, message_timestamp=old, options={"max_age": 1_000})
    )

    assert yard.ended(job_id).state == "expired"
    assert yard.events("ran", job_id) == []


# Duplicates


def test_the_same_message_twice_runs_once(yard, worker):
    """While the first runs, and after it has ended."""
    job_id, gate = new_id(), yard.new_gate()
    body = yard.body("test.wait_at", gate, message_id=job_id)
    yard.publish(body)
    yard.await_event("waits", job_id)
    yard.publish(body)
    yard.publish(body)
    yard.open(gate)
    yard.ended(job_id)
    yard.publish(body)

    poll(lambda: worker.metric("taskyard_messages_skipped_total", verdict="duplicate") >= 1)
    yard.come_to_rest()
    assert len(yard.events("waits", job_id)) == 1
    assert len(yard.job(job_id).attempts) == 1


def test_many_copies_at_once_run_once(yard, worker):
    """Also when they come in one batch, and while the slots are busy."""
    gate, job_id = yard.new_gate(), new_id()
    busy = [yard.submit(tasks.wait_at, gate) for _ in range(2)]
    for each in busy:
        yard.await_event("waits", each.id)
    for _ in range(50):
        yard.publish(yard.body("test.note", message_id=job_id))
    yard.open(gate)

    yard.ended(job_id)
    yard.come_to_rest()
    assert len(yard.events("ran", job_id)) == 1


def test_one_id_for_two_jobs_is_one_job(yard, worker):
    """The first wins, whatever the second says."""
    job_id = new_id()
    yard.publish(yard.body("test.add", 1, 2, message_id=job_id))
    yard.ended(job_id)

    yard.publish(yard.body("test.note", message_id=job_id))
    again = yard.submit(tasks.note, id=job_id)

    assert again.get(timeout=30) == 3
    yard.come_to_rest()
    assert yard.events("ran", job_id) == []


def test_an_old_copy_does_not_swallow_a_later_attempt(yard, worker):
    """Both reach the worker in one batch: the copy is skipped, the attempt runs."""
    gate = yard.new_gate()
    handle = yard.submit(tasks.again_in, 3600)
    poll(lambda: yard.job_in("retrying", handle.id))
    busy = [yard.submit(tasks.wait_at, gate) for _ in range(2)]
    for each in busy:
        yard.await_event("waits", each.id)
    first = yard.body("test.again_in", 3600, message_id=handle.id)
    for _ in range(3):
        yard.publish(first, priority=9)
    assert yard.store.change(handle.id, Change(delay_ms=0)).verdict == "changed"
    poll(lambda: yard.job_in("pending", handle.id))
    yard.open(gate)

    assert handle.get(timeout=30) == "done"
    assert len(yard.events("tries", handle.id)) == 2


def test_a_message_of_an_attempt_that_nobody_asked_for_does_not_run(yard, worker):
    """The record says which attempt is next."""
    handle = yard.submit(tasks.add, 1)
    handle.get(timeout=30)

    yard.publish(yard.body("test.note", message_id=handle.id, options={"attempt": 2}))

    yard.come_to_rest()
    assert len(yard.job(handle.id).attempts) == 1


def test_an_unknown_job_at_a_late_attempt_is_rebuilt_from_its_message(yard, worker):
    """As after the store was emptied: it goes on where it was."""
    job_id = new_id()

    yard.publish(yard.body("test.who", message_id=job_id, options={"attempt": 3}))

    assert yard.ended(job_id).attempt == 3


@pytest.mark.parametrize("attempt", [10**9, 10**17, 2**63])
def test_an_attempt_without_bounds_can_be_read_or_is_refused(yard, worker, attempt):
    """Numbers that a store cannot keep exactly must not end in a record that nobody can read."""
    job_id = new_id()
    yard.publish(yard.body("test.who", message_id=job_id, options={"attempt": attempt}))

    poll(lambda: yard.dead_messages() or yard.job_in("completed", job_id))


def test_a_connection_that_ends_does_not_disturb(yard, worker):
    """Deliveries come again on the next one, and each job runs once."""
    gate = yard.new_gate()
    running = [yard.submit(tasks.wait_at, gate) for _ in range(2)]
    for each in running:
        yard.await_event("waits", each.id)
    waiting = [yard.submit(tasks.note) for _ in range(4)]

    yard.rabbit.control("close_all_connections", "by the test")
    poll(lambda: worker.problems() == [])
    yard.open(gate)

    for each in running + waiting:
        each.get(timeout=30)
        assert len(yard.job(each.id).attempts) == 1
    assert all(len(yard.events("ran", each.id)) == 1 for each in waiting)
