"""Messages with properties that RabbitMQ takes and pika does not read: none is lost or holds up others."""

import json

import pytest

from taskyard.message import new_id
from taskyard.rabbitmq.dead_queue import walk
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, dead_queue
from taskyard.store.dead_letters import DeadLetterFilter
from tests import worker_tasks as tasks
from tests.poison import field, long_bytes, nested_arrays, nested_tables, raw, timestamp
from tests.polling import poll

#: As a program writes it that takes AMQP's seconds for milliseconds.
MILLISECONDS = timestamp(1_790_000_000_000)
#: The longest text that AMQP has, of no character at all: as UTF-8 it would grow.
NO_TEXT = b"\xff" * 255
HEADERS = {
    "milliseconds": MILLISECONDS,
    "past-all-clocks": timestamp(2**64 - 1),
    "deep-tables": nested_tables(3000),
    "deepest-tables": nested_tables(21_000),
    "deep-arrays": nested_arrays(3000),
    "within": field(b"a", b"A", long_bytes(b"F" + long_bytes(MILLISECONDS))),
    "name": field(b"\xff\xfe", b"V", b""),
    "traceparent": field(b"traceparent", b"F", long_bytes(nested_tables(400))),
    "many": b"".join(field(b"%x" % n, b"V", b"") for n in range(20_000)) + MILLISECONDS,
    "long": field(b"text", b"S", long_bytes(b"x" * 129_000)),
}
TEXTS = {
    name: {name: NO_TEXT}
    for name in (
        "content_type",
        "content_encoding",
        "correlation_id",
        "message_id",
        "type",
        "app_id",
    )
}
#: With flags of no property: pika takes the lowest for "more flags follow", and texts for these.
FLAGS: dict[str, dict[str, bytes]] = {
    "flags-alone": {"flags": b"\3"},
    "flags-no-more": {
        "flags": b"\1",
        "content_type": b"\0\xff" + b"a" * 10,
        "content_encoding": b"abc",
    },
    "flags-in-texts": {"flags": b"\1", "content_type": b"", "content_encoding": b"ab"},
    "flags-headers": {"flags": b"\3", "headers": MILLISECONDS, "priority": b"\x05"},
}

#: Replies to a name of RabbitMQ's own that leads nowhere, and to one that no queue has.
REPLIES = {
    name: {"reply_to": reply_to}
    for name, reply_to in {
        "reply-nowhere": b"amq.rabbitmq.reply-to.nowhere",
        "reply-empty": b"amq.rabbitmq.reply-to.",
        "reply-dots": b"amq.rabbitmq.reply-to.g1h2.AAAA",
        "reply-long": b"amq.rabbitmq.reply-to." + b"\xff" * 200,
        "reply-no-text": b"reply." + NO_TEXT[6:],
        "reply-nul": b"reply.\0",
    }.items()
}


@pytest.fixture(scope="module")
def yard(make_yard):
    """A yard with a worker and a scheduler."""
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        poll(lambda: yard.store.tasks() and yard.queue in yard.store.queues())
        yield yard


@pytest.fixture(autouse=True)
def _connections_live(yard):
    """After each test no service has lost a connection, but that which is there for it."""
    lines = len(yard.lines)
    yield
    signs = ("amqp connection", "not consumed", "consumed anew")
    assert [
        line
        for line in yard.lines[lines:]
        if any(sign in line for sign in signs) and "taskyard direct replies" not in line
    ] == []
    with yard.channel() as channel:
        channel.queue_purge(dead_queue(INTAKE_QUEUE))
    yard.forget_dead_letters()


def publish(yard, messages, *, exchange="", key=""):
    """Publish (body, raw properties) in one go, so that each has neighbours."""
    with yard.channel() as channel:
        channel.confirm_delivery()
        for body, properties in messages:
            channel.basic_publish(exchange, key, body, properties, mandatory=True)


def submission(yard, name):
    """Return a good submission of this id."""
    return json.dumps(
        {"task": tasks.add.name, "args": [1], "id": name, "queue": yard.queue}
    ).encode()


def completed(yard, names):
    """Return when all these jobs have completed."""
    assert {name: yard.ended(name).state.value for name in names} == dict.fromkeys(
        names, "completed"
    )


def test_submissions_run_whatever_is_in_their_properties(yard):
    """Headers that cannot be read count as not given; nobody behind them waits."""
    headers = {name: {"headers": table} for name, table in HEADERS.items()}
    strange = {**headers, **TEXTS, **FLAGS, **REPLIES}
    names = [f"{yard.queue}-{name}" for name in strange]
    messages = [
        (submission(yard, name), raw(**properties))
        for name, properties in zip(names, strange.values(), strict=True)
    ]

    publish(yard, messages, exchange=SUBMIT_EXCHANGE)

    completed(yard, names)
    poll(lambda: yard.ready_messages(INTAKE_QUEUE) == 0)


def test_outcomes_are_told_to_strange_places(yard):
    """Where nobody is told, nobody else waits for it."""
    names = [f"{yard.queue}-told-{name}" for name in REPLIES]
    bodies = [json.dumps({**json.loads(submission(yard, n)), "reply": "result"}) for n in names]
    messages = [
        (body.encode(), raw(correlation_id=NO_TEXT, **properties))
        for body, properties in zip(bodies, REPLIES.values(), strict=True)
    ]

    publish(yard, messages, exchange=SUBMIT_EXCHANGE)

    completed(yard, names)
    with yard.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        last = f"{yard.queue}-told-last"
        body = json.dumps({**json.loads(submission(yard, last)), "reply": "result"}).encode()
        publish(yard, [(body, raw(reply_to=queue.encode()))], exchange=SUBMIT_EXCHANGE)
        told = [json.loads(poll(lambda: channel.basic_get(queue, True)[2])) for _ in range(2)]
    assert {each["status"] for each in told} == {"accepted", "ended"}


def test_a_refused_submission_with_strange_texts_is_kept(yard):
    """Its texts are cut to what AMQP takes; the publisher that all share goes on."""
    body = b"\x00\xff no JSON"
    name = f"{yard.queue}-after"
    texts = {name: value for texts in TEXTS.values() for name, value in texts.items()}

    publish(
        yard,
        [
            *((body, raw(headers=MILLISECONDS, **texts)) for _ in range(3)),
            *((body, raw(**properties)) for properties in FLAGS.values()),
            (submission(yard, name), raw()),
        ],
        exchange=SUBMIT_EXCHANGE,
    )

    letters = [yard.dead_letter(INTAKE_QUEUE) for _ in range(3 + len(FLAGS))]
    completed(yard, [name])
    assert {kept for _, kept in letters} == {body}
    assert {letter.headers["taskyard-reason"] for letter, _ in letters} == {"invalid"}
    assert [len(letter.content_type or "") for letter, _ in letters].count(255) == 3


def test_messages_on_a_work_queue_run_whatever_is_in_their_properties(yard):
    """The worker reads on; a delivery is no reason to lose those beside it."""
    strange = {**{name: {"headers": table} for name, table in HEADERS.items()}, **TEXTS, **FLAGS}
    names = [f"{yard.queue}-work-{name}" for name in strange]
    messages = [
        (yard.body(tasks.add.name, 1, message_id=name), raw(**properties))
        for name, properties in zip(names, strange.values(), strict=True)
    ]

    publish(yard, messages, key=yard.queue)

    completed(yard, names)


def test_a_malformed_message_with_strange_properties_is_kept(yard):
    """A dead letter with the reason, and its body byte for byte."""
    texts = {name: value for texts in TEXTS.values() for name, value in texts.items()}
    messages = [(b"\xff", raw(headers=table, **texts)) for table in HEADERS.values()]
    messages += [(b"\xff", raw(**properties)) for properties in FLAGS.values()]

    publish(yard, messages, key=yard.queue)

    letters = [yard.dead_letter() for _ in messages]
    assert {(kept, letter.headers["taskyard-reason"]) for letter, kept in letters} == {
        (b"\xff", "undecodable")
    }


@pytest.fixture
def unread(yard):
    """A queue without dead letters, paused, so that nobody reads it."""
    yard.store.pause("queue", tasks.QUEUE, {})
    with yard.channel() as channel:
        poll(lambda: not channel.queue_declare(tasks.QUEUE, passive=True).method.consumer_count)
    yield tasks.QUEUE
    yard.store.resume("queue", tasks.QUEUE)


def test_dead_letters_that_rabbitmq_put_there_are_listed(yard, unread):
    """A producer can have it done by an expiration; what such a letter says in our words is void."""
    forged = field(b"taskyard-reason", b"S", long_bytes(b"crash_loop"))
    forged += field(b"taskyard-attempts", b"l", (2**62).to_bytes(8))
    forged += field(b"taskyard-dead-letter-id", b"S", long_bytes(b"of another"))
    messages = [
        (
            b"\xff" + new_id().encode(),
            raw(headers=forged + table, expiration=b"0", message_id=b"a-job"),
        )
        for table in HEADERS.values()
    ]

    publish(yard, messages, key=unread)

    found = poll(lambda: dead(yard, unread, count=len(messages)))
    facts = {(each.reason, each.is_job, each.attempts) for each in found}
    assert facts == {("unknown", False, 0)}


def test_a_walk_sees_all_dead_letters_that_a_producer_put_there(yard):
    """None ends it, with others behind it."""
    properties = [*FLAGS.values(), *TEXTS.values(), {"headers": MILLISECONDS}]
    bodies = [b"letter %d" % n for n, _ in enumerate(properties)]
    messages = zip(bodies, (raw(**each) for each in properties), strict=True)
    publish(yard, messages, key=dead_queue(yard.queue))
    seen = []

    def visit(found):
        seen.append(found.body)
        return True

    poll(lambda: walk(yard.settings.broker_url, yard.queue, visit))

    assert sorted(seen) == sorted(bodies)
    poll(lambda: yard.dead_messages() == 0)


def dead(yard, queue, *, count):
    """Return the dead letters of a queue, once there are so many."""
    ids = [each for each, _ in yard.store.find_dead(DeadLetterFilter(queue=queue), 100)[0]]
    return yard.store.dead_letters(ids) if len(ids) == count else None
