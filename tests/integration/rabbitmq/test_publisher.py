"""Publishing with a real broker: confirmed or failed within the deadline, whatever happens to the broker."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest

from taskyard.errors import BrokerUnavailable, QueueMismatch, Unpublishable
from taskyard.rabbitmq.connection import ConnectionThread
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import dead_queue, queue_arguments, server_version
from tests.integration.conftest import Taken
from tests.polling import poll


def message(queue: str, number: int = 0, **fields) -> Outgoing:
    return Outgoing(queue=queue, body=b"{}", **{"id": f"id-{number}", **fields})


def ids(taken: list[Taken]) -> list[str | None]:
    return [properties.message_id for properties, _ in taken]


def depth(channel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_a_published_message_is_there_when_publish_returns(publisher, bodies, queue):
    """Persistent, with the properties that other tools read."""
    publisher.publish(
        [message(queue, task="add", priority=7, headers={"a": 1}, correlation_id="c")],
        deadline_s=10,
    )

    ((properties, body),) = bodies(queue)
    assert (
        body,
        properties.message_id,
        properties.type,
        properties.priority,
        properties.headers,
        properties.correlation_id,
        properties.delivery_mode,
        properties.app_id,
        properties.content_type,
    ) == (b"{}", "id-0", "add", 7, {"a": 1}, "c", 2, "taskyard", "application/json")
    assert abs(time.time() - properties.timestamp) < 60


def test_nothing_to_publish_needs_no_broker():
    """An empty list is done."""
    Publisher("amqp://127.0.0.1:1/").publish([], deadline_s=0)


def test_messages_of_one_call_keep_their_order(publisher, bodies, queue):
    """As a plain queue promises."""
    publisher.publish([message(queue, n) for n in range(100)], deadline_s=30)

    assert [f"id-{n}" for n in range(100)] == ids(bodies(queue))


def test_one_call_may_go_to_many_queues(publisher, bodies, channel, queue):
    """Each is declared when it is first needed, with its dead-letter queue."""
    names = [f"{queue}-{n}" for n in range(5)]

    publisher.publish([message(name) for name in names], deadline_s=30)

    assert [ids(bodies(name)) for name in names] == [["id-0"]] * 5
    for name in names:
        assert depth(channel, dead_queue(name)) == 0
        channel.queue_delete(name)
        channel.queue_delete(dead_queue(name))


def test_dead_letters_go_to_their_queue(publisher, bodies, dead_letters, queue):
    """Also where no message went to the work queue before."""
    publisher.publish([message(queue, is_dead=True)], deadline_s=30)

    assert (ids(dead_letters(queue)), bodies(queue)) == (["id-0"], [])


def test_what_a_worker_rejects_goes_to_the_dead_letter_queue(
    publisher, channel, dead_letters, queue
):
    """The work queue's own arguments see to it."""
    publisher.publish([message(queue)], deadline_s=30)
    method, _, _ = channel.basic_get(queue)

    channel.basic_reject(method.delivery_tag, requeue=False)

    assert poll(lambda: ids(dead_letters(queue)) == ["id-0"])


def test_higher_priority_comes_first(publisher, bodies, queue):
    """One scale, 0 to 9."""
    publisher.publish([message(queue, n, priority=n) for n in range(10)], deadline_s=30)

    assert [f"id-{n}" for n in reversed(range(10))] == ids(bodies(queue))


def test_sixteen_threads_share_one_connection(publisher, bodies, channel, queue):
    """Every message of each is confirmed and there."""

    def publish(thread: int) -> None:
        for n in range(50):
            publisher.publish([message(queue, thread * 1000 + n)], deadline_s=30)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(publish, range(16)))

    taken = ids(bodies(queue))
    assert (len(taken), len(set(taken))) == (800, 800)


def test_a_large_batch_is_confirmed(publisher, channel, queue):
    """All ten thousand of it."""
    publisher.publish([message(queue, n) for n in range(10_000)], deadline_s=30)

    assert depth(channel, queue) == 10_000


def test_without_a_broker_it_fails_within_its_deadline():
    """And says why; the publisher can be closed as ever."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/")
    publisher.start()
    poll(lambda: "refused" in publisher.state)
    started = time.monotonic()

    with pytest.raises(BrokerUnavailable, match=r"0\.5 s.*refused"):
        publisher.publish([message("q")], deadline_s=0.5)

    assert time.monotonic() - started < 15
    assert not publisher.is_ready
    assert "refused" in publisher.state
    publisher.close()
    publisher.close()


def test_a_publisher_in_haste_does_not_wait_where_no_host_was_ever_reached():
    """It names all hosts that it has tried, and says what it was told to say."""
    broker_url = "amqp://guest:pass-word@127.0.0.1:1,127.0.0.1:2/"
    publisher = Publisher(broker_url, is_hasty=True, hint="; look at BROKER_URL")

    with pytest.raises(
        BrokerUnavailable, match=r"does not answer.*refused \(127.*BROKER_URL"
    ) as caught:
        publisher.publish([message("q")], deadline_s=600)

    assert "pass-word" not in str(caught.value)
    publisher.close()


def test_a_wrong_password_is_told(broker_url):
    """Not only that there is no connection."""
    publisher = Publisher(broker_url.replace("guest:guest", "guest:wrong"))

    with pytest.raises(BrokerUnavailable, match=r"(?i)access_refused|auth"):
        publisher.publish([message("q")], deadline_s=3)
    publisher.close()


def test_a_deleted_queue_is_declared_again(publisher, channel, bodies, queue):
    """A message is never dropped because its queue went away."""
    publisher.publish([message(queue)], deadline_s=30)
    channel.queue_delete(queue)

    publisher.publish([message(queue, n) for n in range(20)], deadline_s=30)

    taken = ids(bodies(queue))
    assert (20, {f"id-{n}" for n in range(20)}) == (len(taken), set(taken))


def test_a_deleted_queue_loses_no_message_of_the_same_id(publisher, channel, bodies, queue):
    """Two copies on their way are two messages."""
    publisher.publish([message(queue)], deadline_s=30)
    channel.queue_delete(queue)

    publisher.publish([message(queue, 1), message(queue, 1), message(queue, 1)], deadline_s=30)

    assert ids(bodies(queue)) == ["id-1"] * 3


def test_a_deleted_dead_letter_exchange_is_declared_again(publisher, channel, dead_letters, queue):
    """One call fails, as the broker closes the channel; the next ones go well."""
    publisher.publish([message(queue, is_dead=True)], deadline_s=30)
    channel.exchange_delete("taskyard.dead")

    def is_published() -> bool:
        try:
            publisher.publish([message(queue, 1, is_dead=True)], deadline_s=5)
        except BrokerUnavailable:
            return False
        return True

    assert poll(is_published)
    assert "id-1" in ids(dead_letters(queue))


def test_a_queue_with_other_arguments_is_refused(publisher, channel, bodies, queue):
    """With a text that says what to do; other queues are not touched by it."""
    other = f"{queue}-plain"
    channel.queue_declare(other, durable=True)

    with pytest.raises(QueueMismatch, match="QUEUE_TYPE"):
        publisher.publish([message(other)], deadline_s=30)
    publisher.publish([message(queue)], deadline_s=30)

    assert ids(bodies(queue)) == ["id-0"]
    channel.queue_delete(other)
    channel.queue_delete(dead_queue(other))


def test_each_message_of_a_call_ends_by_itself(publisher, channel, bodies, full, queue):
    """A queue with other arguments, a full one and a text that AMQP cannot take fail alone."""
    plain, narrow = f"{queue}-plain", f"{queue}-full"
    channel.queue_declare(plain, durable=True)
    publisher.publish([message(narrow, 9)], deadline_s=30)
    with full(narrow):
        failures = publisher.publish_each(
            [
                message(plain),
                message(queue, 1),
                message(narrow, 2),
                message(queue, 3, headers={"odd": object()}),
                message("x" * 300, 4),
                message(queue, 5),
            ],
            deadline_s=30,
            is_whole=False,
        )

    assert {place: type(failure.error) for place, failure in failures.items()} == {
        0: QueueMismatch,
        2: BrokerUnavailable,
        3: Unpublishable,
        4: Unpublishable,
    }
    assert ids(bodies(queue)) == ["id-1", "id-5"]
    for name in (plain, narrow):
        channel.queue_delete(name)
        channel.queue_delete(dead_queue(name))


def test_a_whole_batch_with_a_message_without_a_form_is_not_sent(publisher, bodies, queue):
    """Each of its messages is told to have failed."""
    publisher.publish([message(queue)], deadline_s=30)

    failures = publisher.publish_each(
        [message(queue, 1), message(queue, 2, correlation_id="x" * 300)],
        deadline_s=30,
        is_whole=True,
    )

    assert [type(failures[place].error) for place in (0, 1)] == [Unpublishable] * 2
    assert ids(bodies(queue)) == ["id-0"]


@pytest.fixture
def version(broker_url) -> Iterator[tuple[int, int]]:
    """The version of RabbitMQ, from how it greets a connection."""
    greetings: SimpleQueue[Any] = SimpleQueue()
    thread = ConnectionThread(
        broker_url,
        name="test",
        on_connected=lambda connection: greetings.put(connection.server_properties),
        on_lost=lambda _: None,
    )
    thread.start()
    yield server_version(greetings.get(timeout=30))
    thread.stop()


def test_the_arguments_fit_the_servers_version(publisher, channel, queue, version):
    """What is declared is what `queue_arguments` says for this server."""
    publisher.publish([message(queue)], deadline_s=30)

    channel.queue_declare(queue, durable=True, arguments=queue_arguments(queue, version=version))


@pytest.mark.parametrize("field", ["id", "queue", "correlation_id"])
def test_a_message_that_has_no_form_in_amqp_fails_alone(publisher, bodies, queue, field):
    """A text that is too long fails its own call, not the connection and all that use it."""
    publisher.publish([message(queue)], deadline_s=30)

    with pytest.raises(ValueError, match=field):
        publisher.publish([message(**{"queue": queue, field: "x" * 300})], deadline_s=2)
    publisher.publish([message(queue, 2)], deadline_s=30)

    assert ids(bodies(queue)) == ["id-0", "id-2"]


def test_a_content_type_may_be_anything(publisher, bodies, queue):
    """It is a stranger's text, and cut to what AMQP allows."""
    publisher.publish([message(queue, content_type="\ufffd" * 200)], deadline_s=30)

    ((properties, _),) = bodies(queue)
    assert properties.content_type == "\ufffd" * 85


def test_a_task_may_be_called_anything(publisher, bodies, queue):
    """The property is for people to see, and cut to what AMQP allows."""
    publisher.publish([message(queue, task="ä" * 300)], deadline_s=30)

    ((properties, _),) = bodies(queue)
    assert properties.type == "ä" * 127


def test_an_address_that_cannot_be_used_is_tried_with_pauses(caplog):
    """A mistake in BROKER_URL neither hangs the caller nor fills the log."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/%2f?heartbeat=often")

    with pytest.raises(BrokerUnavailable, match="heartbeat"):
        publisher.publish([message("q")], deadline_s=1)

    assert len(caplog.records) < 30
    publisher.close()
