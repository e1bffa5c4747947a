"""Moving a queue of another type: it becomes what is declared, and all in it stays as it was."""

import pika
import pytest

from taskyard.errors import QueueInUse
from taskyard.local_servers.rabbit_server import MAX_MESSAGE_BYTES
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.dead_queue import walk
from taskyard.rabbitmq.queue_move import Moved, QueueMove, moving_queue
from taskyard.rabbitmq.queue_move.transfer import Onward, Transfer
from taskyard.rabbitmq.queue_move.verbatim import VerbatimProperties
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, UNROUTED, dead_queue, lock
from taskyard.runtime.tls import SYSTEM_CAS
from tests.poison import field, long_bytes, nested_arrays, nested_tables, raw, timestamp
from tests.polling import poll

OTHER = {"classic": "quorum", "quorum": "classic"}
EITHER_WAY = pytest.mark.parametrize("new", ["quorum", "classic"])

#: Properties as programs in any language write them; pika would write their headers otherwise, or not at all.
ODD_PROPERTIES = [
    bytes.fromhex(text)
    for text in (
        "1000 02",  # only delivery mode 2
        "3800 00000004 016e 6207 02 05",  # priority 5 and a number of 8 bits
        "3800 00000005 016e 730007 02 05",  # of 16 bits
        "3800 0000000b 0166 643ff8000000000000 02 05",  # a floating-point number
        "3800 0000000b 0174 540000000065f0c000 02 05",  # a time
        "3800 0000000a 0178 7800000003ff00fe 02 05",  # bytes
        "b800 0a746578742f706c61696e 00000003 0156 56 02 05",  # nothing, in a message of text/plain
        "3800 00000000 02 05",  # headers, but none in them
        "1880 02 05 0474657374",  # a message id
    )
]


@pytest.fixture
def move(broker_url):
    """A function that moves a queue to a type."""
    return lambda queue, new: QueueMove(broker_url, queue_type=new).move(queue)


@pytest.fixture
def declare(channel, version):
    """A function that declares a queue, and those that belong to it, anew in one type."""

    def declare(queue, queue_type):
        channel.exchange_declare(topology.DEAD_EXCHANGE, "direct", durable=True)
        family = topology.family(queue, version=version, queue_type=queue_type)
        for name, arguments in family.items():
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, arguments=arguments)
        channel.confirm_delivery()

    return declare


@pytest.fixture
def taken(broker_url, channel, queue):
    """A function that takes all messages out of a queue and returns them as they came."""

    def take(source):
        found = []
        elsewhere = channel.queue_declare(f"{queue} read", exclusive=True).method.queue

        def keep(message):
            found.append(message)
            return Onward("", elsewhere, message.properties, message.body)

        def prepare(own, done):
            own.queue_declare(source, passive=True, callback=lambda _: done())

        transfer = Transfer(
            broker_url,
            source,
            keep,
            prepare=prepare,
            queue=source,
            meanwhile=lambda: None,
            tls=SYSTEM_CAS,
        )
        # Readers that are gone may be counted for a moment.
        poll(lambda: not channel.queue_declare(source, passive=True).method.consumer_count)
        transfer.run()
        return found

    return take


def is_there(channel, name):
    """Return whether a queue exists."""
    try:
        with channel.connection.channel() as own:
            own.queue_declare(name, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


def give_back_once(channel, name):
    """Take the first message of a queue, and let it be put back."""
    with channel.connection.channel() as other:
        poll(lambda: other.basic_get(name)[0])


@EITHER_WAY
def test_messages_keep_their_order_their_properties_and_their_bytes(
    new, move, declare, taken, channel, queue
):
    """Also those that were delivered before, to which a quorum queue adds headers of its own."""
    declare(queue, OTHER[new])
    sent = {b"%d" % n: properties for n, properties in enumerate(ODD_PROPERTIES)}
    for name in (queue, dead_queue(queue)):
        for body, properties in sent.items():
            channel.basic_publish("", name, body, VerbatimProperties(properties))
        give_back_once(channel, name)

    moved = move(queue, new)

    assert moved == [Moved(dead_queue(queue), 9, True), Moved(queue, 9, True)]
    for name in (dead_queue(queue), queue):
        found = taken(name)
        assert {each.body: each.properties.raw for each in found} == sent
        alike = [int(each.body) for each in found if each.properties.priority]
        assert alike == sorted(alike)
    assert not is_there(channel, moving_queue(queue))


@EITHER_WAY
def test_the_first_by_priority_stays_the_first(new, move, declare, taken, channel, queue):
    """Of thousands: what arrived first of each priority comes first, and is there once."""
    declare(queue, OTHER[new])
    for n in range(3000):
        channel.basic_publish(
            "", queue, b"%d" % n, pika.BasicProperties(delivery_mode=2, priority=n % 4)
        )

    move(queue, new)

    order = [(each.properties.priority, int(each.body)) for each in taken(queue)]
    by_priority = {p: [n for q, n in order if q == p] for p in range(4)}
    assert by_priority == {p: list(range(p, 3000, 4)) for p in range(4)}


def test_a_queue_that_is_right_is_left_alone(move, declare, channel, queue):
    """Nothing is moved, and what is not there is not made."""
    assert move(queue, "auto") == []

    declare(queue, "auto")
    channel.basic_publish("", queue, b"kept")

    assert move(queue, "auto") == [Moved(dead_queue(queue), 0, False), Moved(queue, 0, False)]
    assert poll(lambda: channel.basic_get(queue, auto_ack=True)[2]) == b"kept"


@EITHER_WAY
def test_a_queue_that_others_read_is_not_moved(new, move, declare, channel, queue):
    """Their messages would be missed."""
    declare(queue, OTHER[new])
    channel.basic_publish("", queue, b"kept")
    reader = channel.connection.channel()
    reader.basic_qos(prefetch_count=1)
    reader.basic_consume(queue, lambda *_: None)

    with pytest.raises(QueueInUse, match=queue):
        move(queue, new)

    reader.close()
    assert poll(lambda: channel.basic_get(queue, auto_ack=True)[2]) == b"kept"


def test_two_do_not_move_or_read_a_queue_at_a_time(move, declare, broker_url, queue):
    """Each would miss what the other holds; who is killed lets go."""
    declare(queue, "auto")
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as other:
        lock(other.channel(), dead_queue(queue))
        with pytest.raises(QueueInUse, match=queue):
            move(queue, "auto")
        assert walk(broker_url, queue, lambda _: False) is None

    assert poll(lambda: move(queue, "auto"))


def test_a_submission_goes_into_the_queue_that_it_was_for(move, declare, taken, channel, version):
    """The intake's queue is moved with its dead letters and what is unrouted; all keep their routing keys."""
    own = (INTAKE_QUEUE, dead_queue(INTAKE_QUEUE), UNROUTED)
    new = "quorum" if version < topology.QUORUM_SINCE else "classic"
    try:
        declare(INTAKE_QUEUE, OTHER[new])
        channel.exchange_declare(UNROUTED, "fanout", durable=True)
        channel.queue_bind(UNROUTED, UNROUTED)
        front = {"alternate-exchange": UNROUTED}
        channel.exchange_declare(SUBMIT_EXCHANGE, "topic", durable=True, arguments=front)
        channel.basic_publish(SUBMIT_EXCHANGE, "reports", b"unrouted")
        channel.queue_bind(INTAKE_QUEUE, SUBMIT_EXCHANGE, "#")
        channel.basic_publish(SUBMIT_EXCHANGE, "mail", b"first")
        channel.basic_publish("", INTAKE_QUEUE, b"second")
        channel.basic_publish("", dead_queue(INTAKE_QUEUE), b"refused")

        moved = move(INTAKE_QUEUE, new)

        assert {each.queue: each.messages for each in moved} == {
            dead_queue(INTAKE_QUEUE): 1,
            INTAKE_QUEUE: 2,
            UNROUTED: 1,
        }
        first, second = taken(INTAKE_QUEUE)
        assert (first.exchange, first.routing_key, first.body) == (
            SUBMIT_EXCHANGE,
            "mail",
            b"first",
        )
        assert (second.exchange, second.body) == ("", b"second")
        (unrouted,) = taken(UNROUTED)
        assert (unrouted.routing_key, unrouted.body) == ("reports", b"unrouted")
        assert [each.body for each in taken(dead_queue(INTAKE_QUEUE))] == [b"refused"]
    finally:
        for name in own:
            channel.queue_delete(name)


def test_strange_properties_are_moved_as_they_are(broker_url, move, declare, taken, channel, queue):
    """Also what pika cannot read: a time past the year 9999, a deep table, a key that is no text."""
    declare(queue, "quorum")
    headers = [timestamp(2**64 - 1), nested_tables(3000), nested_arrays(3000)]
    sent = [raw(headers=each, message_id=b"\xff" * 255).raw for each in headers]
    key = b"\xff not UTF-8"
    channel.exchange_declare(queue, "topic")
    channel.queue_bind(queue, queue, "#")
    for properties in sent:
        channel.basic_publish(queue, key, b"x", VerbatimProperties(properties))

    move(queue, "classic")

    channel.exchange_delete(queue)
    assert [each.properties.raw for each in taken(queue)] == sent


@EITHER_WAY
def test_flags_of_no_property_hold_up_no_move(new, move, declare, taken, channel, queue):
    """To pika the lowest means that more flags follow; RabbitMQ keeps them in classic queues before 4.0."""
    declare(queue, OTHER[new])
    texts = {"content_type": b"\0\xff text", "content_encoding": b"ab", "message_id": b"id"}
    headers = {"headers": timestamp(2**64 - 1)}
    sent = [
        raw(flags=bytes([flags]), **given) for flags in range(4) for given in ({}, texts, headers)
    ]
    for properties in sent:
        channel.basic_publish("", queue, b"x", properties)

    move(queue, new)

    moved = [each.properties.raw for each in taken(queue)]
    assert [without_spare(each) for each in moved] == [without_spare(each.raw) for each in sent]


def without_spare(properties):
    """Return raw properties without the flags of no property."""
    return (int.from_bytes(properties[:2]) & ~3).to_bytes(2) + properties[2:]


def test_a_message_that_grew_in_its_queue_is_moved(move, declare, channel, queue, bodies):
    """RabbitMQ's own headers of a dead letter would make it larger than what it takes: they are left out."""
    declare(queue, "classic")
    channel.queue_bind(dead_queue(queue), topology.DEAD_EXCHANGE, queue)
    headers = field(b"text", b"S", long_bytes(b"x" * 130_900))
    channel.basic_publish("", queue, b"x", raw(headers=headers, expiration=b"0"))
    poll(lambda: channel.queue_declare(dead_queue(queue), passive=True).method.message_count)

    move(queue, "quorum")

    ((properties, body),) = bodies(dead_queue(queue))
    assert (body, len(properties.headers["text"])) == (b"x", 130_900)
    assert "x-death" not in properties.headers


@EITHER_WAY
def test_a_message_as_large_as_rabbitmq_takes_is_moved(new, move, declare, taken, channel, queue):
    """There is no room for what it is wrapped in: that goes beside its body."""
    declare(queue, OTHER[new])
    bodies = [bytes([n]) * size for n, size in enumerate((MAX_MESSAGE_BYTES, 1, MAX_MESSAGE_BYTES))]
    for number, body in enumerate(bodies):
        properties = pika.BasicProperties(message_id=f"id-{number}", headers={"x": b"\xff", "n": 1})
        channel.basic_publish("", queue, body, properties, mandatory=True)

    moved = move(queue, new)

    assert Moved(queue, 3, is_new=True) in moved
    found = taken(queue)
    assert [each.body for each in found] == bodies
    assert [each.properties.message_id for each in found] == ["id-0", "id-1", "id-2"]
    assert all(each.properties.headers == {"x": b"\xff", "n": 1} for each in found)
