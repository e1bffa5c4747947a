"""Outcomes that are owed, told by a sender on real servers: each recipient once, and none for ever."""

import json
from contextlib import suppress

import msgspec
import pika
import pytest
import redis
from msgspec.structs import replace
from prometheus_client import REGISTRY

from services.scheduler.chores.dead_letters import KeepDeadLetters
from services.scheduler.chores.outcome_sender import OutcomeSender
from services.scheduler.chores.outcomes import SendDirectOutcomes, SendOutcomes
from taskyard import Secret, task
from taskyard.arguments.secrets import HIDDEN
from taskyard.catalogue import describe
from taskyard.errors import BrokerUnavailable
from taskyard.job import Attempt, Job, JobError, State, document
from taskyard.job_creation import Defaults
from taskyard.local_servers.rabbit_server import MAX_MESSAGE_BYTES
from taskyard.message import Message, Options
from taskyard.rabbitmq import direct_replies
from taskyard.rabbitmq.direct_replies import DIRECT_REPLY, DirectReplies
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.topology import (
    INTAKE_QUEUE,
    SUBMIT_EXCHANGE,
    dead_queue,
    dead_queue_arguments,
    declare_error,
)
from taskyard.runtime.apart import Apart
from taskyard.store.dead_letters import DeadLetterFilter
from taskyard.store.replies import ReplyRequest
from taskyard.submission import ROOM_BYTES, outcome
from tests.contract import jobs
from tests.polling import poll


@task
def pay(card: Secret[int], amount: int = 0) -> int:
    """Give back the amount."""
    return amount


@pytest.fixture
def direct(settings):
    """What sends replies without a queue."""
    direct = DirectReplies(settings.broker_url, tls=settings.tls)
    yield direct
    direct.close()


@pytest.fixture
def direct_teller(dispatcher, direct, settings):
    """A sender of direct replies."""
    return SendDirectOutcomes(dispatcher, direct, settings)


@pytest.fixture
def teller(dispatcher, direct_teller, settings):
    """A sender whose publisher is connected."""
    dispatcher.publisher.start()
    poll(lambda: dispatcher.publisher.is_ready)
    return SendOutcomes(dispatcher, direct_teller, settings)


@pytest.fixture
def reply_to(channel):
    """A direct name, as a consumer's request has it, and the replies that came there."""
    got = []
    channel.basic_consume(DIRECT_REPLY, lambda *args: got.append(json.loads(args[-1])), True)
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", name, b"", pika.BasicProperties(reply_to=DIRECT_REPLY))
    return channel.basic_get(name, True)[1].reply_to, got


def bad_name(number: int) -> str:
    """Return a name for which RabbitMQ closes the connection."""
    return f"{DIRECT_REPLY}.bm93aGVyZQ==.{number}"


def ended(store, *reply_to: str, body: str = "", **fields) -> str:
    """Record a job that has ended, of whose outcome these are to be told."""
    submitter = {"reply_to": reply_to[0] if reply_to else "", "correlation_id": ""}
    job_id, token = jobs.running(store, **submitter, **({"body": body} if body else {}))
    store.request_replies([ReplyRequest(job_id, each, f"c-{each}") for each in reply_to])
    jobs.settle(store, job_id, token, result="3", **fields)
    return job_id


def outcomes(what: str) -> float:
    """Return how many replies had this outcome."""
    return REGISTRY.get_sample_value("taskyard_replies_total", {"outcome": what}) or 0.0


def test_an_outcome_is_told_and_forgotten(store, teller, channel):
    """The reply is the job's document, durable, with the correlation id; nothing is owed afterwards."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    job_id = ended(store, queue)

    teller.run_once()

    _, properties, body = channel.basic_get(queue, True)
    told = json.loads(body)
    assert tuple(told[name] for name in ("status", "state", "id", "result", "omitted")) == (
        "ended",
        "completed",
        job_id,
        3,
        [],
    )
    assert (
        properties.correlation_id,
        properties.message_id,
        properties.type,
        properties.delivery_mode,
    ) == (f"c-{queue}", job_id, "add", 2)
    assert store.take_replies(0, 10) == ([], 0)


def test_an_outcome_tells_no_secret(store, teller, channel, queue):
    """Not even to who has submitted it: replies pass through others' hands."""
    store.declare(
        [describe(pay, Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60))], [queue]
    )
    replies = channel.queue_declare("", exclusive=True).method.queue
    job_id, token = jobs.running(store, task=pay.name, args=[4111, 5], reply_to=replies)
    store.request_replies([ReplyRequest(job_id, replies, "")])
    jobs.settle(store, job_id, token, result="3")

    teller.run_once()

    told = json.loads(channel.basic_get(replies, True)[2])
    assert (told["state"], told["args"], told["kwargs"]) == ("completed", [HIDDEN, 5], {})


def test_a_queue_that_is_gone_is_given_up_alone(store, teller, channel):
    """Who is gone holds up nobody else, and is neither tried again nor declared."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    before = outcomes("no_queue"), outcomes("sent")
    ended(store, f"{queue}-gone", queue)
    ended(store, queue)

    teller.run_once()

    assert channel.queue_declare(queue, passive=True).method.message_count == 2
    assert (before[0] + 1, before[1] + 2) == (outcomes("no_queue"), outcomes("sent"))
    assert store.take_replies(0, 10) == ([], 0)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare(f"{queue}-gone", passive=True)


def test_a_queue_that_refuses_is_tried_again_and_holds_up_nobody(store, teller, channel):
    """A full queue that rejects; the other queue's reply is told at once."""
    arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
    full = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    queue = channel.queue_declare("", exclusive=True).method.queue
    owed = ended(store, full)
    ended(store, queue)

    teller.run_once()

    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    assert store.take_replies(0, 10)[1] == 1
    assert jobs.state(store, owed) == "completed"


def test_a_queue_that_does_not_answer_holds_up_nobody(
    store, dispatcher, direct_teller, settings, channel, rabbit
):
    """What another queue has confirmed meanwhile is told, and not again."""
    quick = replace(settings, publish_deadline_s=1)
    dispatcher.publisher.start()
    poll(lambda: dispatcher.publisher.is_ready)
    teller = SendOutcomes(dispatcher, direct_teller, quick)
    hung, well = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    ended(store, hung)
    ended(store, well)
    set_answering(rabbit, hung, is_answering=False)
    try:
        teller.run_once()

        assert channel.queue_declare(well, passive=True).method.message_count == 1
        assert store.take_replies(0, 10)[1] == 1
    finally:
        set_answering(rabbit, hung, is_answering=True)


def set_answering(rabbit, queue, *, is_answering):
    """Have the process of a classic queue stand still, or go on."""
    how = "resume" if is_answering else "suspend"
    rabbit.control(
        "eval",
        f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)), '
        f"sys:{how}(amqqueue:get_pid(Q)).",
    )


def test_what_cannot_be_told_in_time_is_given_up(
    store, dispatcher, teller, direct_teller, settings
):
    """After REPLY_TTL, and where the record was removed."""
    short = SendOutcomes(dispatcher, direct_teller, replace(settings, reply_ttl=1))
    late, removed = ended(store, "q"), ended(store, "q")
    store.remove([removed])
    before = outcomes("too_old"), outcomes("no_record")
    store.take_replies(1100, 10)

    poll(lambda: short.run_once() is None and store.take_replies(0, 10)[1] == 0)

    assert (before[0] + 1, before[1] + 1) == (outcomes("too_old"), outcomes("no_record"))
    assert jobs.state(store, late) == "completed"


def test_an_unreadable_record_holds_up_nobody(store, teller, channel):
    """It is given up; the others are told."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    ended(store, queue, body="{")
    whole = ended(store, queue)

    teller.run_once()

    _, properties, _ = channel.basic_get(queue, True)
    assert properties.message_id == whole
    assert store.take_replies(0, 10) == ([], 0)


def test_direct_reply_to_works(store, teller, direct_teller, channel, reply_to):
    """RabbitMQ returns such a reply as unroutable although it delivers it."""
    name, got = reply_to
    job_id = ended(store, name)

    teller.run_once()
    poll(lambda: direct_teller.run_once() is None)

    poll(lambda: channel.connection.process_data_events(0.1) or got)
    assert got[0]["id"] == job_id
    assert store.take_replies(0, 10) == ([], 0)


def test_a_direct_reply_that_ends_its_connection_takes_no_other_with_it(
    store, teller, direct_teller, channel, reply_to, caplog
):
    """RabbitMQ closes the connection for a name that is none, or returns it; it is not tried again."""
    name, got = reply_to
    before = outcomes("no_queue")
    for _ in range(2):
        ended(store, bad_name(1))
    told = ended(store, name)

    teller.run_once()
    poll(lambda: direct_teller.run_once() is None)

    poll(lambda: channel.connection.process_data_events(0.1) or got)
    assert [each["id"] for each in got] == [told]
    assert store.take_replies(0, 10) == ([], 0)
    assert outcomes("no_queue") == before + 2
    assert len([each for each in caplog.messages if each.startswith("direct reply lost")]) == 1


def test_replies_to_queues_wait_for_no_direct_ones(store, teller, channel):
    """Nor is their being told noted later: direct ones have a loop of their own, which does nothing here."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    for number in range(60):
        ended(store, bad_name(number))
    both = ended(store, bad_name(60), queue)
    good = ended(store, queue)

    for _ in range(2):
        teller.run_once()

    told = [channel.basic_get(queue, True)[1].message_id for _ in range(2)]
    assert told == [both, good]
    assert store.take_replies(0, 0)[1] == 61


def test_a_direct_name_that_is_known_waits_for_no_strangers(
    store, teller, direct_teller, channel, reply_to
):
    """However many bad names are before it, it is among the first; the others have their turn too."""
    name, got = reply_to
    ended(store, name)
    teller.run_once()
    poll(lambda: direct_teller.run_once() is None)
    for number in range(60):
        ended(store, bad_name(number))
    last = ended(store, name)
    for _ in range(2):
        teller.run_once()

    direct_teller.run_once()

    poll(lambda: channel.connection.process_data_events(0.1) or len(got) == 2)
    assert got[1]["id"] == last
    poll(lambda: direct_teller.run_once() is None and store.take_replies(0, 0)[1] == 0, 90)


def test_strangers_take_no_room_from_a_direct_name_that_is_known(
    direct, channel, reply_to, monkeypatch
):
    """However many of their bad names wait; what finds no room of theirs is dropped."""
    monkeypatch.setattr(direct_replies, "LIMIT", 3)
    name, got = reply_to

    def reply(name: str, number: int) -> Outgoing:
        return Outgoing(queue=name, body=b"%d" % number, id="", is_reply=True)

    direct.publish([reply(name, 0)], deadline_s=30)
    for number in range(5):
        direct.send([reply(bad_name(number), number)])
    direct.send([reply(name, number) for number in (1, 2)])

    poll(lambda: channel.connection.process_data_events(0.1) or len(got) == 3)
    assert got == [0, 1, 2]


def test_who_asked_can_be_unreadable_and_holds_up_nobody(store, teller, channel, settings):
    """Nobody can be told then: it is given up; the others are told."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    damaged, whole = ended(store, queue), ended(store, queue)
    before = outcomes("no_record")
    with redis.Redis.from_url(settings.result_backend) as server:
        server.hset(f"{settings.key_prefix}asked", damaged, "{")

    teller.run_once()

    assert channel.basic_get(queue, True)[1].message_id == whole
    assert store.take_replies(0, 10) == ([], 0)
    assert outcomes("no_record") == before + 1


def test_a_reply_that_no_queue_takes_is_no_failure(publisher, queue):
    """Among messages of ours it is told, and they are published."""
    reply = Outgoing(queue=f"{queue}-gone", body=b"", id="r", is_reply=True)
    ours = Outgoing(queue=queue, body=b"", id="o")

    assert publisher.publish([reply, ours], deadline_s=30).no_queue == [reply]


def job_of(**fields) -> Job:
    """Return a job that has ended, with much to tell."""
    message = Message(
        queue_name="q",
        task="t",
        args=["x" * 1000],
        kwargs={},
        options=Options(),
        message_id="1",
        message_timestamp=0,
    )
    return Job(message=message, queue="q", state=State.COMPLETED, attempt=1, created_at=0, **fields)


@pytest.mark.parametrize(
    ("attempts", "size", "omitted"),
    [(1, 1000, []), (99, 1000, ["attempts"]), (99, 65_500, ["attempts", "args"])],
)
def test_a_reply_leaves_out_what_is_too_large(attempts, size, omitted):
    """First the attempts, then arguments, and the result never as long as it is one."""
    error = JobError("E", "m", "t" * 1000)
    made = [Attempt(n, "w", 0, 1, "failed", error) for n in range(attempts)]
    job = job_of(attempts=made, result=msgspec.Raw(json.dumps("r" * size).encode()))

    told = json.loads(outcome(document(job), is_submitter=True, max_bytes=1024 + ROOM_BYTES))

    assert told["omitted"] == omitted
    assert not set(omitted) & (told.keys() - {"omitted"})
    assert told["result"] == "r" * size
    assert len(json.dumps(told)) < 1024 + ROOM_BYTES + 1000


@pytest.fixture
def small_messages(rabbit):
    """RabbitMQ takes messages up to 50 kB, on channels that are opened from now on."""

    def bound(max_bytes: int) -> None:
        for put in ("application:set_env(rabbit, ", "persistent_term:put("):  # up to 3.x, and since
            rabbit.control("eval", f"{put}max_message_size, {max_bytes}).")

    bound(50_000)
    yield
    bound(MAX_MESSAGE_BYTES)


@pytest.mark.usefixtures("small_messages")
@pytest.mark.parametrize("where", ["queue", "direct"])
def test_an_outcome_that_rabbitmq_does_not_take_is_told_without_what_is_too_large(
    store, publisher, direct, settings, channel, reply_to, where
):
    """It is not known before how much that is; the next try is smaller, and is the last one."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    name, got = (queue, []) if where == "queue" else reply_to
    job_id, token = jobs.running(store, reply_to=name)
    store.request_replies([ReplyRequest(job_id, name, "")])
    jobs.settle(store, job_id, token, result=json.dumps("r" * 60_000))
    owed, _ = store.take_replies(0, 10)

    def publish(replies):
        if where == "direct":
            return direct.publish(replies, deadline_s=3)
        return publisher.publish_replies(replies, deadline_s=10)

    bound = direct if where == "direct" else publisher
    sender = OutcomeSender(
        store, publish, Apart("reply"), settings, max_bytes=lambda: bound.max_bytes
    )

    with suppress(BrokerUnavailable):
        assert sender.send(owed) == []
    assert poll(lambda: sender.send(owed)) == owed
    if where == "queue":
        got.append(json.loads(poll(lambda: channel.basic_get(queue, True)[2])))
    else:
        poll(lambda: channel.connection.process_data_events(0.1) or got)
    assert [each["id"] for each in got] == [job_id]
    assert "result" in got[0]["omitted"]


# The intake's queue


def found_by(keep, store):
    """Return the dead letters that are listed after another pass; none while it is not connected yet."""
    with suppress(BrokerUnavailable):
        keep.run_once()
    return store.find_dead(DeadLetterFilter(), 10)[0]


def test_a_refused_submission_that_nobody_listed_is_found(store, settings, channel, version):
    """One that came while the store was away is in the index after all."""
    dead = dead_queue(INTAKE_QUEUE)
    arguments = dead_queue_arguments(version=version, queue_type="auto")
    channel.queue_declare(dead, durable=True, arguments=arguments)
    channel.queue_purge(dead)
    channel.basic_publish("", dead, b"{}", pika.BasicProperties(delivery_mode=2))
    depths = QueueDepths(settings.broker_url, name="test")
    depths.start()
    keep = KeepDeadLetters(store, depths, settings)
    try:
        found = poll(lambda: found_by(keep, store))
    finally:
        depths.close()

    (letter,) = store.dead_letters([each for each, _ in found])
    assert letter is not None
    assert (letter.queue, letter.preview, letter.is_job) == (INTAKE_QUEUE, "{}", False)
    channel.queue_purge(dead)


def test_an_outcome_that_cannot_be_told_does_not_hold_up_the_others(teller, store, channel):
    """One whose reply has no form in AMQP stays owed; those before it and behind it are told."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    first, _, last = (ended(store, reply_to) for reply_to in (queue, "x" * 300, queue))

    teller.run_once()

    told = [channel.basic_get(queue, auto_ack=True)[1] for _ in range(2)]
    assert {properties.message_id for properties in told} == {first, last}
    assert store.take_replies(0, 10)[1] == 1


def test_an_exchange_of_another_kind_is_told_by_its_name(channel):
    """What is in the way need not be the queue that was asked for."""
    name = f"{SUBMIT_EXCHANGE}.test"
    channel.exchange_declare(name, "topic", auto_delete=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
        channel.exchange_declare(name, "fanout", auto_delete=True)

    error = declare_error(INTAKE_QUEUE, refused.value)

    assert f"exchange '{name}' exists with other arguments" in str(error)
