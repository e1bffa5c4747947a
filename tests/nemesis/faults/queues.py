"""Queues that an operator deletes or purges by mistake, and what sets that right."""

import time

from taskyard.rabbitmq.topology import INTAKE_QUEUE, dead_queue
from tests.nemesis import tasks
from tests.nemesis.faults.registry import fault
from tests.nemesis.scene import Scene

#: So long a job must be ready before its message counts as missing, and a little more.
SETTLE_S = 6.0


def repair_afterwards(scene: Scene) -> None:
    """Let an operator account for all jobs and bring back what was lost, once the load is over."""

    def repair() -> None:
        scene.last(SETTLE_S)
        for arguments in (["audit"], ["audit", "--repair"]):
            code, text = scene.stack.tool(*arguments)
            scene.note(f"{' '.join(arguments)}: {code} {text[-300:]}")
        scene.over()

    scene.afterwards.append(repair)


def throw_away(scene: Scene, how: str) -> None:
    """Throw away all messages of the work queue by a command of rabbitmqctl."""
    scene.stack.rabbit.control(how, tasks.QUEUE)
    scene.stack.witness.purges.append(time.time())


@fault
def delete_queue(scene: Scene) -> None:
    """An operator deletes a work queue, three times."""
    for _ in range(3):
        throw_away(scene, "delete_queue")
        scene.last(4)
    repair_afterwards(scene)


@fault
def purge_queue(scene: Scene) -> None:
    """An operator purges a work queue that hundreds of jobs wait in, three times."""
    for _ in range(3):
        scene.load.burst(300)
        throw_away(scene, "purge_queue")
        scene.last(4)
    repair_afterwards(scene)


@fault
def delete_intake(scene: Scene) -> None:
    """An operator deletes the queue behind the front door, and a work queue."""
    for queue in (INTAKE_QUEUE, tasks.LIMITED_QUEUE):
        scene.stack.rabbit.control("delete_queue", queue)
        scene.last(4)
    repair_afterwards(scene)


@fault
def delete_dead(scene: Scene) -> None:
    """An operator deletes the queue of dead letters, twice."""
    for _ in range(2):
        scene.stack.rabbit.control("delete_queue", dead_queue(tasks.QUEUE))
        scene.last(4)
    repair_afterwards(scene)
