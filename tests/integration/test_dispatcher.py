"""Dispatching with real servers: recorded first, published second, and nothing kept of what failed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from pika.exceptions import ChannelClosedByBroker

from taskyard import config
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, QueueMismatch, StoreUnavailable
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import dead_queue
from taskyard.store import open_store
from tests.contract.jobs import HOUR_MS, claim, counts, heartbeat, new_job, outbox, state
from tests.polling import poll


@pytest.fixture
def away(store):
    """A dispatcher whose broker is away."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    yield Dispatcher(store, publisher, publish_deadline_s=0.3)
    publisher.close()


def ids(taken) -> list[str]:
    return [properties.message_id for properties, _ in taken]


def test_a_dispatched_job_is_recorded_and_published(dispatcher, store, bodies, queue):
    """Once; and soon it is not in the outbox any more."""
    job = new_job("a", queue=queue, args=[1])

    (created,) = dispatcher.dispatch([job])

    assert (created.is_new, created.state) == (True, "pending")
    ((properties, body),) = bodies(queue)
    assert ("a", "add", job.body.encode()) == (properties.message_id, properties.type, body)
    poll(lambda: not store.vitals().unconfirmed)


def test_a_scheduled_job_is_recorded_only(dispatcher, store, queue):
    """The scheduler publishes it when it is due; no broker is needed."""
    dispatcher.dispatch([new_job("a", queue=queue, delay_ms=HOUR_MS)])

    assert state(store, "a") == "scheduled"
    assert not dispatcher.publisher.is_ready


def test_nothing_is_fine(dispatcher):
    """An empty list is dispatched at once."""
    assert dispatcher.dispatch([]) == []


def test_the_same_id_again_is_published_once(dispatcher, bodies, queue):
    """In a later call as well as in the same one."""
    first = dispatcher.dispatch([new_job("a", queue=queue), new_job("a", queue=queue)])
    second = dispatcher.dispatch([new_job("a", queue=queue), new_job("b", queue=queue)])

    assert [created.is_new for created in first] == [True, False]
    assert [created.is_new for created in second] == [False, True]
    assert ids(bodies(queue)) == ["a", "b"]


def test_without_a_broker_nothing_is_kept(away, store, queue):
    """The caller is told so, and may try again with the same id."""
    with pytest.raises(BrokerUnavailable):
        away.dispatch([new_job("a", queue=queue), new_job("b", queue=queue, delay_ms=HOUR_MS)])

    assert store.get(["a", "b"]) == [None, None]
    assert counts(store) == {}


def test_a_job_that_was_there_is_kept_when_a_later_call_fails(away, dispatcher, store, queue):
    """Only what is new is withdrawn."""
    dispatcher.dispatch([new_job("a", queue=queue)])

    with pytest.raises(BrokerUnavailable):
        away.dispatch([new_job("a", queue=queue), new_job("b", queue=queue)])

    assert state(store, "a") == "pending"
    assert store.get(["b"]) == [None]


def test_a_job_promised_to_a_second_caller_is_kept(store, queue):
    """One whose client gave up and asked again with its id: the answer to the second call must hold."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow.dispatch, [new_job("a", queue=queue)])
        poll(lambda: store.get(["a"])[0])
        (again,) = slow.dispatch([new_job("a", queue=queue)])
        with pytest.raises(BrokerUnavailable):
            first.result()

    assert not again.is_new
    assert outbox(store) == {"a"}, "it is there for the relay to publish"
    publisher.close()


def test_without_a_store_nothing_is_published(dispatcher, channel, queue):
    """Record first: a message without a record could not be followed."""
    dispatcher.publisher.start()
    lost = Dispatcher(
        open_store(config.load(result_backend="redis://127.0.0.1:1/0")), dispatcher.publisher
    )

    with pytest.raises(StoreUnavailable):
        lost.dispatch([new_job("a", queue=queue)])

    with pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare(queue, passive=True)


def test_a_queue_with_other_arguments_keeps_nothing(dispatcher, store, channel, queue):
    """The error names it, and the record is withdrawn."""
    channel.queue_declare(queue, durable=True)

    with pytest.raises(QueueMismatch, match=queue):
        dispatcher.dispatch([new_job("a", queue=queue)])

    assert store.get(["a"]) == [None]


def test_many_threads_dispatch_at_once(dispatcher, store, bodies, queue):
    """Each job of each is recorded and published once."""

    def dispatch(thread: int) -> None:
        for number in range(50):
            dispatcher.dispatch([new_job(f"{thread}-{number}", queue=queue)])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(dispatch, range(16)))

    taken = ids(bodies(queue))
    assert (len(taken), len(set(taken))) == (800, 800)
    assert counts(store) == {queue: {"pending": 800}}
    poll(lambda: not store.vitals().unconfirmed)


def test_a_later_attempt_is_published_with_its_number(dispatcher, store, bodies, queue):
    """What `take_due` or `unpublished` gave."""
    store.create([new_job("a", queue=queue, attempts_made=2)])

    dispatcher.publish(store.unpublished(0, 10))

    ((properties, body),) = bodies(queue)
    assert properties.headers["taskyard-attempt"] == 3
    heartbeat(store)
    assert claim(store, "a", 3, queue=queue).kind == "run"
    assert outbox(store) == set()
    assert b'"attempt":3' in body


def test_closing_finishes_what_is_under_way(settings, store, channel, queue):
    """The outbox is cleaned before the connections go."""
    dispatcher = Dispatcher(open_store(settings), Publisher(settings.broker_url))
    dispatcher.dispatch([new_job("a", queue=queue)])

    dispatcher.close()
    dispatcher.close()

    assert outbox(store) == set()
    assert channel.queue_declare(dead_queue(queue), passive=True).method.message_count == 0
