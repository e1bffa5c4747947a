"""What a child's consumer was told holds for the connections that come after."""

import time
from collections.abc import Iterator

import pika
import pytest

from services.worker.consuming.consumer import Consumer
from taskyard.runtime.broker_hosts import Hosts
from taskyard.runtime.tls import SYSTEM_CAS
from tests.polling import poll


@pytest.fixture
def consumer(links, rabbit, queue, publisher) -> Iterator[Consumer]:
    """A consumer of the queue that is connected, by a link called `rabbitmq`."""
    port = links.open("rabbitmq", rabbit.port)
    consumer = Consumer(
        rabbit.url.replace(f":{rabbit.port}", f":{port}"),
        [queue],
        prefetch=1,
        publisher=publisher,
        deadline_s=5,
        queue_type="auto",
        on_arrival=lambda: None,
        whole_max_bytes=1_000_000,
        slots_bytes=1_000_000,
        name="test",
        tls=SYSTEM_CAS,
    )
    consumer.start()
    poll(lambda: not consumer.problems())
    yield consumer
    consumer.close()


def test_what_is_told_to_a_connection_as_it_ends_holds_for_the_next(
    consumer, links, channel, queue, monkeypatch
):
    """Else a child whose slot became free just then would never consume again."""
    consumer.fit({}, [])
    move_on = Hosts.move_on

    def tell(hosts: Hosts) -> None:
        consumer.fit({queue: 1}, [])  # after the last callback that this connection runs
        monkeypatch.undo()
        move_on(hosts)

    monkeypatch.setattr(Hosts, "move_on", tell)
    links.cut("rabbitmq")
    poll(lambda: Hosts.move_on is move_on)
    channel.basic_publish("", queue, b"one", pika.BasicProperties())

    poll(lambda: len(consumer.inbox) == 1)


def test_a_consumer_that_stops_without_a_connection_takes_nothing_by_the_next(
    consumer, links, channel, queue
):
    """What comes now is for other workers, however long the last jobs run here."""
    links.set_mode("rabbitmq", "hole")
    links.cut("rabbitmq")
    poll(consumer.problems)
    consumer.stop_consuming()
    links.set_mode("rabbitmq", "pass")
    links.cut("rabbitmq")
    poll(lambda: links.is_used("rabbitmq"))
    channel.basic_publish("", queue, b"one", pika.BasicProperties())

    time.sleep(2)  # nothing tells that it does not come; else it takes some hundredths

    assert len(consumer.inbox) == 0
