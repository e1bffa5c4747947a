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
