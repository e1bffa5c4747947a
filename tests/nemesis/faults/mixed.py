"""Several faults at once, and storms of all of them."""

import time
from collections.abc import Sequence

from tests.nemesis.faults.network import WORKER_RABBIT, WORKER_REDIS, lose_answers
from tests.nemesis.faults.processes import bounce, freeze, kill_a_child
from tests.nemesis.faults.registry import Fault, fault
from tests.nemesis.faults.servers import killed, memory_alarm_in, pause
from tests.nemesis.scene import Scene


@fault
def rabbit_kill_and_children(scene: Scene) -> None:
    """RabbitMQ dies, and workers' children die while it is away."""
    with killed(scene, scene.stack.rabbit):
        for _ in range(4):
            kill_a_child(scene)
            scene.last(1)
        scene.last(3)


@fault
def alarm_and_workers(scene: Scene) -> None:
    """RabbitMQ blocks publishers; workers' children, and a whole worker, die meanwhile."""
    with memory_alarm_in(scene.stack.rabbit):
        for _ in range(5):
            kill_a_child(scene)
            scene.last(3)
        bounce(scene, scene.stack.workers[1], 2)


def blow(scene: Scene, acts: Sequence[Fault], seconds: float) -> None:
    """Let one thing after the other happen, at random."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        act = scene.rng.choice(acts)
        scene.note(act.__name__)
        act(scene)
        scene.last(scene.rng.uniform(0.5, 2.5))


@fault
def storm(scene: Scene) -> None:
    """Anything, at any time."""
    blow(scene, ACTS, 50)


def kill_worker(scene: Scene) -> None:
    """Kill a worker's supervisor."""
    bounce(scene, scene.stack.workers[0], 1)


def kill_an_api(scene: Scene) -> None:
    """Kill an API."""
    bounce(scene, scene.stack.apis[0], 0.5)


def kill_a_scheduler(scene: Scene) -> None:
    """Kill a scheduler."""
    bounce(scene, scene.stack.schedulers[0], 1)


def close_all(scene: Scene) -> None:
    """Close all connections to RabbitMQ."""
    scene.stack.rabbit.control("close_all_connections", "by a storm")


def stall_redis(scene: Scene) -> None:
    """Let Redis stand still for a moment."""
    pause(scene, scene.stack.redis, 3)


def mute_redis_shortly(scene: Scene) -> None:
    """Lose Redis' answers to a worker."""
    lose_answers(scene, 3, WORKER_REDIS)


def reset_worker_rabbit(scene: Scene) -> None:
    """Reset a worker's connections to RabbitMQ."""
    scene.stack.links.cut(WORKER_RABBIT)


def reset_worker_redis(scene: Scene) -> None:
    """Reset a worker's connections to Redis."""
    scene.stack.links.cut(WORKER_REDIS)


def stall_child(scene: Scene) -> None:
    """Let a child stand still for a moment."""
    freeze(scene, scene.stack.children(*scene.stack.workers)[:1], 4)


ACTS: list[Fault] = [
    kill_a_child,
    kill_worker,
    kill_an_api,
    kill_a_scheduler,
    close_all,
    stall_redis,
    mute_redis_shortly,
    reset_worker_rabbit,
    reset_worker_redis,
    stall_child,
]
