"""A round: the load begins, one fault happens, the load ends, and all that is known is gathered."""

import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from subprocess import SubprocessError

from pika.exceptions import AMQPError

from taskyard.errors import TaskyardError
from taskyard.local_servers import LocalServerError
from tests.nemesis.evidence import Evidence
from tests.nemesis.faults.registry import Fault
from tests.nemesis.gathering import gather
from tests.nemesis.load import Load, Size
from tests.nemesis.scene import Scene
from tests.nemesis.stack import Stack
from tests.polling import poll

READY_S = 60.0
#: What a fault, or the judge's questions, may fail of.
ERRORS = (AMQPError, AssertionError, LocalServerError, OSError, SubprocessError, TaskyardError)


@dataclass(frozen=True)
class Plan:
    """How long what lasts."""

    size: Size = field(default_factory=Size)
    #: Load before the fault, and after it.
    before_s: float = 4.0
    after_s: float = 5.0
    #: How long jobs may take to end when nobody submits any more.
    drain_s: float = 90.0


def run_round(
    stack: Stack, name: str, fault: Fault, *, numbers: Iterator[int], seed: int, plan: Plan
) -> Evidence:
    """Return what is known after this fault; chance begins at `seed` and the fault's name."""
    own_name = f"{name}-{uuid.uuid4().hex[:4]}"
    load = Load(stack, own_name, numbers, seed=f"{seed}/{name}", size=plan.size)
    scene = Scene(stack, load, random.Random(f"{seed}/{name}"))
    began_at = time.time()
    load.start()
    scene.last(plan.before_s)
    mishaps = _happen(scene, fault)
    fault_over_at = scene.over_at or time.time()
    scene.last(plan.after_s)
    load.stop()
    mishaps += bring_back(stack)
    for act in scene.afterwards:
        act()
    evidence = gather(
        scene,
        began_at=began_at,
        fault_over_at=max(fault_over_at, scene.over_at or 0),
        drain_s=plan.drain_s,
    )
    evidence.mishaps += mishaps
    return evidence


def _happen(scene: Scene, fault: Fault) -> list[str]:
    """Let the fault happen; return what it could not do."""
    try:
        fault(scene)
    except ERRORS as error:
        return [f"the fault itself failed: {error!r}"]
    return []


def bring_back(stack: Stack) -> list[str]:
    """Start services that have ended, and wait until each is ready; return what was not as it should be."""
    mishaps = []
    for name, service in stack.services.items():
        if not service.is_running:
            mishaps.append(f"{name} ended by itself: {service.obituary()}")
            stack.launch(service)
    for name, service in stack.services.items():
        try:
            poll(service.is_ready, READY_S, pause_s=0.1)
        except AssertionError:
            mishaps.append(f"{name} was not ready {READY_S:g} s after the fault")
    return mishaps
