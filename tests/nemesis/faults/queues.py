"""Queues that an operator deletes or purges by mistake: what had a record comes back by itself."""

import time

import pika

from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, UNROUTED, dead_queue
from tests.nemesis import tasks
from tests.nemesis.faults.registry import fault
from tests.nemesis.scene import Scene

#: Queues whose messages may be of jobs without a record yet, and the doors that lead there.
UNRECORDED = {tasks.QUEUE: "direct", INTAKE_QUEUE: "amqp"}


def submit_unrouted(scene: Scene) -> None:
    """Let an operator submit again what found no intake, as the documents say."""
    with pika.BlockingConnection(pika.URLParameters(scene.stack.rabbit.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        while True:
            method, properties, body = channel.basic_get(UNROUTED)
            if method is None or body is None:
                return
            channel.basic_publish(SUBMIT_EXCHANGE, method.routing_key, body, properties)
            channel.basic_ack(method.delivery_tag)
            scene.note("a submission was moved from the unrouted ones")


def throw_away(scene: Scene, how: str, queue: str) -> None:
    """Throw away all messages of a queue by a command of rabbitmqctl; jobs with a record are not lost."""
    scene.stack.rabbit.control(how, queue)
    if queue in UNRECORDED:
        scene.stack.witness.purges.setdefault(UNRECORDED[queue], []).append(time.time())


@fault
def delete_queue(scene: Scene) -> None:
    """An operator deletes a work queue, three times."""
    for _ in range(3):
        throw_away(scene, "delete_queue", tasks.QUEUE)
        scene.last(4)


@fault
def purge_queue(scene: Scene) -> None:
    """An operator purges a work queue that hundreds of jobs wait in, three times."""
    for _ in range(3):
        scene.load.burst(300)
        throw_away(scene, "purge_queue", tasks.QUEUE)
        scene.last(4)


@fault
def delete_intake(scene: Scene) -> None:
    """An operator deletes the queue behind the front door, and a work queue."""
    for queue in (INTAKE_QUEUE, tasks.LIMITED_QUEUE):
        throw_away(scene, "delete_queue", queue)
        scene.last(4)
    scene.afterwards.append(lambda: submit_unrouted(scene))


@fault
def delete_dead(scene: Scene) -> None:
    """An operator deletes the queue of dead letters, twice."""
    for _ in range(2):
        scene.stack.rabbit.control("delete_queue", dead_queue(tasks.QUEUE))
        scene.stack.witness.dead_purges.append(time.time())
        scene.last(4)
