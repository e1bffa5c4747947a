"""What the intake reads on real servers: both of its queues, whichever way submissions came there."""

import logging
from itertools import pairwise

import pika
import pytest

from services.scheduler.intake import consumer as intake_consumer
from services.scheduler.intake.consumer import MOST_BESIDE, PREFETCH, IntakeConsumer
from services.scheduler.intake.received import AnsweredSubmission, ReceivedSubmission
from taskyard.local_servers.rabbit_server import MAX_MESSAGE_BYTES
from taskyard.rabbitmq import direct_replies
from taskyard.rabbitmq.direct_replies import DIRECT_REPLY, DirectReplies
from taskyard.rabbitmq.queue_move import QueueMove
from taskyard.rabbitmq.topology import (
    INTAKE_QUEUE,
    SUBMIT_EXCHANGE,
    UNROUTED,
    QueueType,
    family,
)
from tests.polling import poll


@pytest.fixture
def direct(settings):
    """What sends replies without a queue."""
    direct = DirectReplies(settings.broker_url, tls=settings.tls)
    yield direct
    direct.close()


@pytest.fixture
def no_front_door(channel, version):
    """The queues of the intake are not there, before the test and after it."""
    names = family(INTAKE_QUEUE, version=version, queue_type="auto")
    for name in names:
        channel.queue_delete(name)
    yield
    for name in names:
        channel.queue_delete(name)


@pytest.fixture
def opened(no_front_door, direct, settings):
    """A function that starts a consumer, and returns it when it reads its queues."""
    consumers = []

    def open_one() -> IntakeConsumer:
        consumer = IntakeConsumer(settings.broker_url, direct, queue_type=settings.queue_type)
        consumers.append(consumer)
        consumer.start()
        poll(lambda: not consumer.problem)
        return consumer

    yield open_one
    for consumer in consumers:
        consumer.close()


def put(channel, *bodies: bytes, **properties) -> None:
    """Publish submissions for the queue `work`; they are in a queue then."""
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish(
            SUBMIT_EXCHANGE, "work", body, pika.BasicProperties(**properties), mandatory=True
        )


def come(consumer: IntakeConsumer, count: int = 1) -> list[ReceivedSubmission]:
    """Return so many submissions."""
    taken: list[ReceivedSubmission] = []

    def have_come() -> bool:
        taken.extend(consumer.take(count - len(taken)))
        return len(taken) == count

    poll(have_come)
    return taken


def test_an_intake_queue_of_another_kind_is_told_and_tried_seldom(
    channel, direct, settings, monkeypatch, caplog
):
    """The argument in the way is named, there is a pause between tries, and mending helps."""
    monkeypatch.setattr(intake_consumer, "REOPEN_MIN_S", 0.001)
    monkeypatch.setattr(intake_consumer, "REOPEN_MAX_S", 0.4)
    channel.queue_delete(INTAKE_QUEUE)
    channel.queue_declare(INTAKE_QUEUE, durable=True)
    consumer = IntakeConsumer(settings.broker_url, direct, queue_type="auto")
    with caplog.at_level(logging.ERROR, intake_consumer.logger.name):
        consumer.start()
        try:
            poll(lambda: len(caplog.records) >= 3)
            problem = consumer.problem
            channel.queue_delete(INTAKE_QUEUE)
            poll(lambda: not consumer.problem)
        finally:
            consumer.close()

    times = [record.created for record in caplog.records]
    assert all(later - earlier > 0.35 for earlier, later in pairwise(times))
    assert "inequivalent arg" in problem
    assert f"queue '{INTAKE_QUEUE}' exists with other arguments" in problem
    assert "QUEUE_TYPE" in problem


@pytest.mark.usefixtures("no_front_door")
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_the_intake_reads_queues_of_either_type(channel, direct, settings, queue_type):
    """Also of the type that queues would not get by themselves on this version of RabbitMQ."""
    consumer = IntakeConsumer(settings.broker_url, direct, queue_type=queue_type)
    consumer.start()
    try:
        poll(lambda: not consumer.problem)
        channel.basic_publish(SUBMIT_EXCHANGE, "default", b"{}")

        (submission,) = poll(lambda: consumer.take(1))
    finally:
        consumer.close()

    assert submission.body == b"{}"


def test_what_came_while_the_queue_was_gone_is_read_with_all_that_it_says(opened, channel):
    """It went to the unrouted ones; who published it has a confirm, and a reply to come."""
    opened().close()
    channel.queue_delete(INTAKE_QUEUE)
    replies = channel.queue_declare("", exclusive=True).method.queue
    put(
        channel,
        b"{}",
        message_id="m",
        priority=7,
        reply_to=replies,
        correlation_id="c",
        headers={"h": 1},
    )
    assert channel.queue_declare(UNROUTED, passive=True).method.message_count == 1

    consumer = opened()
    (submission,) = come(consumer)
    consumer.finish([AnsweredSubmission(submission, b"{}")])

    assert (
        submission.id,
        submission.body,
        submission.routing_key,
        submission.priority,
        submission.headers,
    ) == ("m", b"{}", "work", 7, {"h": 1})
    _, properties, _ = poll(lambda: (got := channel.basic_get(replies, True))[0] and got)
    assert properties.correlation_id == "c"
    consumer.close()
    poll(lambda: channel.queue_declare(UNROUTED, passive=True).method.consumer_count == 0)
    assert channel.queue_declare(UNROUTED, passive=True).method.message_count == 0


def test_a_reply_that_rabbitmq_does_not_take_costs_no_submission(opened, channel, caplog):
    """It is lost, with a line in the log; the submission does not come again, and other replies arrive."""
    consumer = opened()
    name = channel.queue_declare("", exclusive=True).method.queue
    for number in range(2):
        put(channel, b"%d" % number, reply_to=name, correlation_id="c")
    large, other = come(consumer, 2)

    consumer.finish([AnsweredSubmission(large, b"x" * (MAX_MESSAGE_BYTES + 1))])
    poll(lambda: "max size" in caplog.text)
    consumer.finish([AnsweredSubmission(other, b"{}")])

    assert poll(lambda: channel.basic_get(name, True)[2]) == b"{}"
    put(channel, b"last")
    assert [each.body for each in come(consumer)] == [b"last"]
    consumer.close()
    poll(lambda: channel.queue_declare(INTAKE_QUEUE, passive=True).method.message_count == 1)


def test_what_was_moved_with_its_queue_still_says_where_it_is_to_go(
    opened, channel, settings, version
):
    """`taskyard queues move` gives the unrouted ones another type, too."""
    opened().close()
    channel.queue_delete(INTAKE_QUEUE)
    put(channel, b"{}")
    here = family(INTAKE_QUEUE, version=version, queue_type="auto")[UNROUTED].get("x-queue-type")
    other: QueueType = "classic" if here == "quorum" else "quorum"
    for queue_type in (other, settings.queue_type):
        moved = QueueMove(settings.broker_url, queue_type=queue_type).move(INTAKE_QUEUE)
        assert (UNROUTED, 1) in {(each.queue, each.messages) for each in moved}

    (submission,) = come(opened())

    assert submission.routing_key == "work"


def test_a_binding_that_is_gone_is_made_anew(opened, channel, monkeypatch):
    """What comes until then is read from the unrouted ones, and what comes then from the intake's queue."""
    monkeypatch.setattr(intake_consumer, "BIND_S", 0)
    consumer = opened()
    channel.queue_unbind(INTAKE_QUEUE, SUBMIT_EXCHANGE, "#")
    put(channel, b"first")
    (first,) = come(consumer)
    seen = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(seen, UNROUTED)

    def is_bound() -> bool:
        put(channel, b"later")
        come(consumer)
        return channel.basic_get(seen, True)[0] is None

    poll(is_bound)
    assert first.body == b"first"


def test_a_queue_that_is_deleted_comes_back_and_nothing_waits_for_a_person(
    opened, channel, monkeypatch
):
    """Not even what was published just then."""
    monkeypatch.setattr(intake_consumer, "REOPEN_MIN_S", 0.01)
    consumer = opened()
    bodies = {b"%d" % number for number in range(20)}
    for number, body in enumerate(sorted(bodies)):
        if number == 5:
            channel.queue_delete(INTAKE_QUEUE)
        put(channel, body)
    read: set[bytes] = set()

    def have_come() -> bool:
        taken = consumer.take(100)
        consumer.finish([AnsweredSubmission(each, b"") for each in taken])
        read.update(each.body for each in taken)
        return read >= set(sorted(bodies)[5:])

    poll(have_come)


def unacknowledged(channel, published: int) -> int:
    """Return how many of so many submissions are neither ready nor dealt with."""
    return published - channel.queue_declare(INTAKE_QUEUE, passive=True).method.message_count


def test_no_more_are_held_than_cost_no_speed(opened, channel):
    """While a scheduler is frozen these wait for it; all others go to another one."""
    opened()
    put(channel, *[b"{}"] * 120)

    poll(lambda: unacknowledged(channel, 120) == PREFETCH)
    second = opened()

    assert len(come(second, 120 - PREFETCH)) == 120 - PREFETCH


def test_those_that_wait_make_room_for_others(opened, channel):
    """As for a queue that takes no messages, up to a bound; the last are acknowledged like the first."""
    consumer = opened()
    published = MOST_BESIDE + 5 * PREFETCH
    put(channel, *[b"{}"] * published)
    waiting: list[ReceivedSubmission] = []

    def are_full() -> bool:
        waiting.extend(consumer.take(published))
        consumer.make_room(len(waiting), 0)
        return len(waiting) > MOST_BESIDE

    poll(are_full)
    second = opened()
    come(second, PREFETCH)  # so all that is ready has been given out by now
    poll(lambda: unacknowledged(channel, published) <= MOST_BESIDE + 3 * PREFETCH)
    second.close()
    left = published - len(waiting)
    while waiting:
        consumer.finish([AnsweredSubmission(each, b"") for each in waiting])
        waiting = come(consumer, min(left, PREFETCH))
        left -= len(waiting)
    consumer.close()

    poll(lambda: channel.queue_declare(INTAKE_QUEUE, passive=True).method.consumer_count == 0)
    assert channel.queue_declare(INTAKE_QUEUE, passive=True).method.message_count == 0


def test_no_direct_reply_is_dropped_however_fast_answers_come(opened, channel, monkeypatch):
    """What finds no room for its reply is not acknowledged yet; then all are told, and the queue is empty."""
    monkeypatch.setattr(direct_replies, "LIMIT", 3)
    got: list[bytes] = []
    channel.basic_consume(DIRECT_REPLY, lambda *args: got.append(args[-1]), auto_ack=True)
    consumer = opened()
    put(channel, b"first", reply_to=DIRECT_REPLY)
    consumer.finish([AnsweredSubmission(each, each.body) for each in come(consumer)])
    poll(lambda: channel.connection.process_data_events(0.1) or got)
    bodies = [b"%d" % number for number in range(PREFETCH)]
    put(channel, *bodies, reply_to=DIRECT_REPLY)

    for each in come(consumer, PREFETCH):
        consumer.finish([AnsweredSubmission(each, each.body)])

    poll(lambda: channel.connection.process_data_events(0.1) or len(got) > PREFETCH)
    # In which order is not promised: one that finds no room is overtaken.
    assert sorted(got) == sorted([b"first", *bodies])
    consumer.close()
    assert channel.queue_declare(INTAKE_QUEUE, passive=True).method.message_count == 0
