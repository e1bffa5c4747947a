"""Walks through a dead-letter queue."""

import time

from taskyard.rabbitmq import connection, dead_queue, topology


def test_a_long_walk_keeps_its_connection(monkeypatch, broker_url, channel, queue):
    """What was delivered at once is looked at for longer than RabbitMQ waits to hear something."""
    for module in (connection, dead_queue):
        monkeypatch.setattr(module, "HEARTBEAT_S", 1)
    name = topology.dead_queue(queue)
    channel.queue_declare(name, durable=True)
    for number in range(40):
        channel.basic_publish("", name, str(number).encode())

    def visit(found):
        time.sleep(0.1)  # as a slow store does
        return found.body == b"39"

    assert dead_queue.walk(broker_url, queue, visit) == 40
    assert channel.queue_declare(name, passive=True).method.message_count == 39


def test_a_walk_leaves_the_others_in_their_order(broker_url, channel, queue, version):
    """Of any type of queue: all of its messages were taken, and return together."""
    name = topology.dead_queue(queue)
    arguments = topology.dead_queue_arguments(version=version, queue_type="auto")
    channel.queue_declare(name, durable=True, arguments=arguments)
    for number in range(300):
        channel.basic_publish("", name, str(number).encode())

    assert dead_queue.walk(broker_url, queue, lambda found: found.body == b"7") == 300

    def bodies():
        for _method, _, body in channel.consume(name, auto_ack=True, inactivity_timeout=30):
            yield int(body)
            if body == b"299":
                return

    assert list(bodies()) == [*range(7), *range(8, 300)]
