"""Ways to the servers that swallow what is sent, or its answer, or break."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.nemesis.faults.registry import fault
from tests.nemesis.links import Mode
from tests.nemesis.scene import Scene

WORKER_REDIS, WORKER_RABBIT = "worker1-redis", "worker1-rabbit"
API_REDIS, API_RABBIT = "api2-redis", "api2-rabbit"


@contextmanager
def broken(scene: Scene, mode: Mode, *links: str) -> Iterator[None]:
    """Break links while the block runs; a worker that cannot reach the store cannot renew its leases."""
    stack = scene.stack
    cut_off = stack.watch.pids["worker1"] if WORKER_REDIS in links else set()
    with stack.witness.standing_still(set(cut_off)):
        for link in links:
            stack.links.set_mode(link, mode)
        try:
            yield
        finally:
            for link in links:
                stack.links.set_mode(link, "pass")


def hole(scene: Scene, seconds: float, *links: str) -> None:
    """Let nothing through for a while."""
    with broken(scene, "hole", *links):
        scene.last(seconds)


def lose_answers(scene: Scene, seconds: float, *links: str) -> None:
    """Let what is sent arrive, and no answer come back, for a while."""
    with broken(scene, "mute", *links):
        scene.last(seconds)


@fault
def hole_redis(scene: Scene) -> None:
    """A firewall drops all packets between one worker and Redis for longer than a lease."""
    hole(scene, 22, WORKER_REDIS)


@fault
def hole_rabbit(scene: Scene) -> None:
    """A firewall drops all packets between one worker and RabbitMQ."""
    hole(scene, 22, WORKER_RABBIT)


@fault
def hole_both(scene: Scene) -> None:
    """A worker's machine is cut off from both servers for longer than a lease, and goes on working."""
    hole(scene, 25, WORKER_REDIS, WORKER_RABBIT)


@fault
def machine_lost(scene: Scene) -> None:
    """A worker's machine is cut off for so long that RabbitMQ gives up its connections too."""
    hole(scene, 80, WORKER_REDIS, WORKER_RABBIT)


@fault
def flap_both(scene: Scene) -> None:
    """A network that flaps: all connections of one worker's machine hang and are reset, six times."""
    links = (WORKER_REDIS, WORKER_RABBIT)
    for _ in range(6):
        with broken(scene, "hole", *links):
            scene.last(1.5)
            for link in links:
                scene.stack.links.cut(link)
        scene.over()
        scene.last(2.5)


@fault
def oneway_redis(scene: Scene, times: int = 4) -> None:
    """What a worker tells Redis arrives, and the answers do not: claims are made that nobody hears of."""
    for _ in range(times):
        lose_answers(scene, 4, WORKER_REDIS)
        scene.last(2)


@fault
def oneway_api_rabbit(scene: Scene, times: int = 3) -> None:
    """An API's messages reach RabbitMQ, and their confirms are lost: what it refuses is out."""
    for _ in range(times):
        lose_answers(scene, 6, API_RABBIT)
        scene.last(2)


@fault
def oneway_api_redis(scene: Scene, times: int = 3) -> None:
    """An API's records reach Redis, and the answers are lost: it does not know whether it has made them."""
    for _ in range(times):
        lose_answers(scene, 4, API_REDIS)
        scene.last(2)
