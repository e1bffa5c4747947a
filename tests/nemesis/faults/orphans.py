"""Claims whose answers are lost, and whose messages then go away before they are asked for again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.nemesis import tasks
from tests.nemesis.faults.network import WORKER_RABBIT, WORKER_REDIS, broken
from tests.nemesis.faults.queues import throw_away
from tests.nemesis.faults.registry import fault
from tests.nemesis.rest import Rest
from tests.nemesis.scene import Scene

#: Longer than STORE_TIMEOUT_S: the worker's children have claimed, and given up waiting for the answer.
UNANSWERED_S = 3.0


@contextmanager
def unanswered(scene: Scene) -> Iterator[None]:
    """Claims of one worker have been made and not heard of, until the end of the block."""
    with broken(scene, "mute", WORKER_REDIS):
        scene.last(UNANSWERED_S)
        yield


def reset_rabbit(scene: Scene) -> None:
    """Keep a worker away from RabbitMQ for a moment: its messages go to the other worker."""
    scene.stack.links.cut(WORKER_RABBIT)
    with broken(scene, "hole", WORKER_RABBIT):
        scene.last(1.5)


@fault
def orphan_claim(scene: Scene) -> None:
    """A worker's claims are not answered, and its connection to RabbitMQ breaks: a switch that restarts."""
    with unanswered(scene):
        reset_rabbit(scene)
    scene.over()
    scene.last(1.5)


@fault
def orphan_by_pause(scene: Scene) -> None:
    """A worker's claims are not answered, and an operator pauses the queue and resumes it, five times."""
    api = Rest(scene.stack.apis[0].port)
    for _ in range(5):
        with unanswered(scene):
            api.call("POST", f"/v1/queues/{tasks.QUEUE}/pause", {"reason": "a fault"})
        scene.last(3)
        api.call("POST", f"/v1/queues/{tasks.QUEUE}/resume", {})
        scene.over()
        scene.last(1.5)
    api.close()


@fault
def orphan_by_deleted_queue(scene: Scene) -> None:
    """A worker's claims are not answered, and an operator deletes the queue."""
    with unanswered(scene):
        throw_away(scene, "delete_queue", tasks.QUEUE)
    scene.over()
    scene.last(1.5)


@fault
def orphan_cancelled(scene: Scene) -> None:
    """As `orphan_claim`; then an operator cancels what still runs after a lease."""
    orphan_claim(scene)
    scene.afterwards.append(_canceller(scene))


def _canceller(scene: Scene) -> Callable[[], None]:
    def cancel_what_runs() -> None:
        scene.last(scene.stack.settings.lease_s + 10)
        api = Rest(scene.stack.apis[0].port)
        for job in api.get("/v1/jobs?state=running&limit=200").document["items"][:2]:
            path = f"/v1/jobs/{job['id']}"
            scene.load.book.doomed.add(job["id"])
            scene.note(f"{job['id']} runs; cancelled: {api.call('POST', path + '/cancel', {})}")
            # A little less than the client waits for any answer.
            scene.note(f"10 s later: {api.get(path + '?wait_s=10')}")
        api.close()

    return cancel_what_runs


@fault
def redis_stalls_rabbit_resets(scene: Scene) -> None:
    """Redis stands still for 5 s, and all connections to RabbitMQ are closed meanwhile."""
    rabbit, store = scene.stack.rabbit, scene.stack.redis
    for _ in range(4):
        store.pause()
        scene.last(2.3)
        rabbit.control("close_all_connections", "by a fault")
        scene.last(2)
        store.resume()
        scene.last(4)
