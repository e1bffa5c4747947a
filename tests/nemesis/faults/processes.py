"""Services that are killed or stand still."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from tests.nemesis.faults.registry import fault
from tests.nemesis.scene import Scene
from tools.run.service import Service

#: Longer than a lease.
LONG_S = 20.0


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to processes, as far as they live."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_a_child(scene: Scene) -> None:
    """Kill one child of one worker."""
    living = scene.stack.children(*scene.stack.workers)
    if living:
        send(signal.SIGKILL, [scene.rng.choice(living)])


def bounce(scene: Scene, service: Service, away_s: float) -> None:
    """Kill a service, and start it again a little later."""
    if service in scene.stack.apis:
        # Gunicorn's child serves: its master's death would let it end its requests. And where the master
        # sees the child's death, it has a new one before its own.
        send(signal.SIGSTOP, [service.pid])
        send(signal.SIGKILL, scene.stack.children(service))
    scene.stack.shoot(service)
    scene.last(away_s)
    scene.stack.launch(service)


def freeze(scene: Scene, pids: list[int], seconds: float) -> None:
    """Stop processes for a while; they keep their connections and do not know of it."""
    with scene.stack.witness.standing_still(pids):
        send(signal.SIGSTOP, pids)
        scene.last(seconds)
    send(signal.SIGCONT, pids)


def family(scene: Scene, service: Service) -> list[int]:
    """Return a service's own process and its children."""
    return [service.pid, *scene.stack.children(service)]


@fault
def baseline(scene: Scene) -> None:
    """Nothing happens: what is wrong here is wrong without any fault."""
    scene.last(12)


@fault
def kill_children(scene: Scene, times: int = 12) -> None:
    """The kernel kills workers' children for want of memory, one after the other."""
    for _ in range(times):
        kill_a_child(scene)
        scene.last(2)


@fault
def kill_supervisors(scene: Scene) -> None:
    """A worker's first process crashes, and its container is started again; then the other worker's."""
    for turn in range(4):
        bounce(scene, scene.stack.workers[turn % 2], 2)
        scene.last(5)


@fault
def stop_child(scene: Scene) -> None:
    """One process of a worker gets no time from its machine for longer than a lease."""
    freeze(scene, scene.stack.children(scene.stack.workers[0])[:1], LONG_S)


@fault
def stop_supervisor(scene: Scene) -> None:
    """A worker's first process stands still for longer than a lease, while its children go on."""
    freeze(scene, [scene.stack.workers[0].pid], LONG_S)


@fault
def stop_worker(scene: Scene) -> None:
    """A worker's whole machine is suspended for longer than a lease, as when a virtual machine is moved."""
    freeze(scene, family(scene, scene.stack.workers[0]), 22)


@fault
def stop_part_then_kill(scene: Scene) -> None:
    """A supervisor and one of its children stand still; as they go on, the child is killed."""
    pids = family(scene, scene.stack.workers[0])[:2]
    freeze(scene, pids, 18)
    send(signal.SIGKILL, pids[1:])
    scene.last(2)


@fault
def kill_api(scene: Scene) -> None:
    """APIs are killed in the middle of requests, one after the other."""
    for turn in range(8):
        bounce(scene, scene.stack.apis[turn % 2], 0.5)
        scene.last(2.5)


@fault
def kill_scheduler(scene: Scene) -> None:
    """Schedulers are killed in the middle of a chore, one after the other."""
    for turn in range(6):
        bounce(scene, scene.stack.schedulers[turn % 2], 1)
        scene.last(2)


@fault
def no_scheduler(scene: Scene) -> None:
    """No scheduler runs for a while: waiting jobs are late, and nobody takes submissions over AMQP."""
    for scheduler in scene.stack.schedulers:
        scene.stack.shoot(scheduler)
    scene.last(15)
    for scheduler in scene.stack.schedulers:
        scene.stack.launch(scheduler)


@fault
def stop_scheduler(scene: Scene) -> None:
    """A scheduler stands still in the middle of its chores, and goes on with what it knew then."""
    freeze(scene, [scene.stack.schedulers[0].pid], LONG_S)
