"""Messages that are larger than any job: what is kept of them, and what they cost."""

import hashlib
import json
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest

from services.api.app import create_app
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, MessageTooLarge
from taskyard.local_servers.rabbit_server import MAX_MESSAGE_BYTES
from taskyard.rabbitmq.bodies import BEGINNING_BYTES
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, dead_queue
from taskyard.store.jobs import Created
from tests import worker_tasks as tasks
from tests.contract.jobs import new_job
from tests.polling import poll
from tests.yard import Yard

MIB = 1024 * 1024
#: As much as RabbitMQ takes by default before 4.0; by default more than twice `DEAD_LETTER_MAX_BYTES`.
UNBOUNDED = 128 * MIB
LARGE = b"x" * (20 * MIB)


@pytest.fixture(scope="module")
def yard(make_yard):
    """A yard with a worker and a scheduler, whose RabbitMQ takes very large messages."""
    yard = make_yard()
    bound(yard, UNBOUNDED)
    yard.scheduling, yard.working = yard.scheduler(), yard.worker()
    try:
        with yard.running(yard.working, yard.scheduling):
            poll(lambda: yard.store.tasks() and yard.store.queues())
            yield yard
    finally:
        bound(yard, MAX_MESSAGE_BYTES)
        with yard.channel() as channel:
            channel.queue_purge(dead_queue(INTAKE_QUEUE))


def bound(yard: Yard, max_bytes: int) -> None:
    """Have RabbitMQ take messages up to this size, on channels that are opened from now on."""
    for put in ("application:set_env(rabbit, ", "persistent_term:put("):  # up to 3.x, and since
        yard.rabbit.control("eval", f"{put}max_message_size, {max_bytes}).")


def publish(yard: Yard, *bodies: bytes, exchange: str = "", key: str = "", **properties) -> None:
    """Publish messages, each confirmed."""
    with yard.channel() as channel:
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))


def rss_mib(process: psutil.Process) -> float:
    """Return the most memory that a process has had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM")]
    return int(peak.split()[1]) / 1024


@pytest.mark.parametrize("door", ["intake", "work queue"])
def test_of_a_message_that_is_too_large_the_beginning_is_kept(yard, door):
    """With the size and SHA-256 of the whole; what is smaller is kept byte for byte."""
    queue, exchange = (INTAKE_QUEUE, SUBMIT_EXCHANGE) if door == "intake" else (yard.queue, "")
    smaller = b"y" * yard.settings.dead_letter_max_bytes
    for body in (LARGE, smaller):
        publish(yard, body, exchange=exchange, key=yard.queue, message_id="large one")

    (cut, beginning), (kept, whole) = yard.dead_letter(queue), yard.dead_letter(queue)

    assert beginning == LARGE[:BEGINNING_BYTES]
    assert cut.headers["taskyard-whole-bytes"] == len(LARGE)
    assert cut.headers["taskyard-whole-sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert whole == smaller
    assert "taskyard-whole-bytes" not in kept.headers
    assert {each.headers["taskyard-reason"] for each in (cut, kept)} == {"too_large"}


def test_a_letter_that_is_cut_can_only_be_looked_at(yard):
    """Neither replay nor resubmit makes a job of a beginning, and both say why."""
    api: Any = create_app(yard.settings, yard.client.dispatcher).test_client()
    publish(yard, LARGE, exchange=SUBMIT_EXCHANGE, message_id=f"{yard.queue}-cut")

    def listed():
        items = api.get(f"/v1/dead-letters?queue={INTAKE_QUEUE}&limit=100").json["items"]
        return [item for item in items if item["body_bytes"] == len(LARGE)]

    letter = poll(listed)[0]
    replayed = api.post("/v1/dead-letters/replay", json={"ids": [letter["id"]]})
    resubmitted = api.post(
        f"/v1/dead-letters/{letter['id']}/resubmit", json={"task": tasks.note.name}
    )

    assert letter["kept_bytes"] == BEGINNING_BYTES
    assert letter["body_sha256"] == hashlib.sha256(LARGE).hexdigest()
    for answer in (replayed, resubmitted):
        assert answer.status_code == 422
        assert [each["code"] for each in answer.json["errors"]] == ["cut_off"]


def test_a_job_whose_message_is_too_large_fails_though_it_is_not_kept(yard):
    """Its record says why; the letter is no job, as there is nothing to run."""
    yard.queues.append(f"{yard.queue}-unread")
    job = yard.submit(tasks.add, 1, queue=yard.queues[-1])
    publish(yard, LARGE, key=yard.queue, message_id=job.id)

    ended = yard.ended(job.id)

    assert (ended.state, ended.error.reason) == ("failed", "too_large")
    letter, beginning = yard.dead_letter()
    assert (len(beginning), letter.headers["taskyard-attempts"]) == (BEGINNING_BYTES, 0)


@pytest.mark.parametrize(("size", "count"), [(20 * MIB, 12), (4 * MIB, 64)])
def test_many_large_messages_take_little_memory(yard, size, count):
    """Neither of the scheduler nor of a worker's child, and jobs behind them run."""
    body = b"[" + b"1" * (size - 1)
    scheduler, (child,) = psutil.Process(yard.scheduling.pid), yard.working.children()
    yard.come_to_rest()
    before = rss_mib(scheduler), rss_mib(child)

    for exchange in (SUBMIT_EXCHANGE, ""):
        publish(yard, *[body] * count, exchange=exchange, key=yard.queue)
    publish(
        yard,
        json.dumps({"task": tasks.note.name, "id": f"{yard.queue}-{size}"}).encode(),
        exchange=SUBMIT_EXCHANGE,
    )

    assert yard.ended(f"{yard.queue}-{size}", 60).state == "completed"
    poll(lambda: yard.dead_messages() == count, 60)
    poll(lambda: yard.ready_messages(dead_queue(INTAKE_QUEUE)) >= count, 60)
    after = rss_mib(scheduler), rss_mib(child)
    grown = [round(now - then) for now, then in zip(after, before, strict=True)]
    assert max(grown) < 200
    yard.forget_dead_letters()
    with yard.channel() as channel:
        channel.queue_purge(dead_queue(INTAKE_QUEUE))


@pytest.fixture
def limited(yard):
    """RabbitMQ takes messages up to 8 MiB."""
    bound(yard, MAX_MESSAGE_BYTES)
    yield
    bound(yard, UNBOUNDED)


@pytest.mark.usefixtures("limited")
def test_what_rabbitmq_does_not_take_is_refused_for_good_and_no_other(publisher, queue, channel):
    """The first costs the channel, the next ones nothing; each error says what has to be changed."""
    large = Outgoing(queue=queue, body=b"x" * (MAX_MESSAGE_BYTES + 1), id="large")
    small = Outgoing(queue=queue, body=b"x", id="small")

    for _ in range(2):
        with pytest.raises(MessageTooLarge, match="max_message_size"):
            publisher.publish([large], deadline_s=10)
        poll(lambda: publisher.is_ready)
        channel_before = publisher._loop._channel  # noqa: SLF001 - nobody is told of it
        failures = publisher.publish_each([small, large], deadline_s=10, is_whole=False)
        assert [type(failures[place].error) for place in failures] == [MessageTooLarge]
        assert not failures[1].may_arrive

    assert publisher._loop._channel is channel_before  # noqa: SLF001 - as above
    assert channel.queue_declare(queue, passive=True).method.message_count == 2


@pytest.mark.usefixtures("limited")
def test_a_scheduler_says_at_its_start_what_rabbitmq_does_not_take(yard):
    """Where its own messages may be larger; that of the module says nothing."""
    scheduler = yard.scheduler(DEAD_LETTER_MAX_BYTES=str(MAX_MESSAGE_BYTES + 1))
    scheduler.start()
    try:
        poll(lambda: [line for line in yard.lines if "max_message_size" in line])
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(f"{scheduler.url}/readyz", timeout=10)
        problem = told.value.read().decode()
        assert f"up to {MAX_MESSAGE_BYTES} bytes" in problem
        assert "lower DEAD_LETTER_MAX_BYTES" in problem
    finally:
        scheduler.kill()


@pytest.mark.usefixtures("limited")
def test_a_job_that_rabbitmq_does_not_take_is_refused_and_those_with_it_are_made(
    publisher, store, queue
):
    """By what reads submissions and what dispatches what is due alike: nobody tries it again and again.

    The first time it costs the channel: what was on its way there is tried again.
    """
    dispatcher = Dispatcher(store, publisher, publish_deadline_s=10)
    jobs = [
        new_job(f"{queue}-{size}", queue=queue, args=["x" * size])
        for size in (1, MAX_MESSAGE_BYTES, 2)
    ]

    with suppress(BrokerUnavailable):
        assert type(dispatcher.dispatch_each(jobs)[1]) is MessageTooLarge
    poll(lambda: publisher.is_ready)
    again = dispatcher.dispatch_each(jobs)

    assert type(again[1]) is MessageTooLarge
    assert [each.id for each in again if isinstance(each, Created)] == [jobs[0].id, jobs[2].id]
    assert store.get([jobs[1].id]) == [None]
