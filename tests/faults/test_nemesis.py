"""Short rounds of `make faults`, of kinds that no other test here has: every promise is kept under load."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.nemesis import report
from tests.nemesis.checks import judge
from tests.nemesis.faults import mixed, network, processes
from tests.nemesis.load import Size
from tests.nemesis.rounds import Plan, run_round
from tests.nemesis.scene import Scene
from tests.nemesis.stack import Stack

SEED = 1
PLAN = Plan(
    size=Size(pace=2.0, batch=10, longest_delay_s=2.0), before_s=1.0, after_s=1.0, drain_s=60.0
)
ENV = {"STORE_TIMEOUT_S": "1", "PUBLISH_DEADLINE_S": "2", "RELAY_AFTER_S": "2"}


@pytest.fixture(scope="module")
def stack(rabbit, redis_server, tmp_path_factory) -> Iterator[Stack]:
    """A system for all tests of this module, on the session's servers."""
    folder = tmp_path_factory.mktemp("nemesis")
    stack = Stack(rabbit, redis_server, folder, KEY_PREFIX=f"{folder.name}:", **ENV)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        stack.empty()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Numbers for the jobs of all tests."""
    return count(1)


@pytest.fixture
def withstands(request, stack, numbers, tmp_path) -> Callable[[Callable[[Scene], None]], None]:
    """A function that throws a fault, and asserts that the judge has found nothing."""

    def check(fault: Callable[[Scene], None]) -> None:
        name = request.node.name.removeprefix("test_").replace("_", "-")
        evidence = run_round(stack, name, fault, numbers=numbers, seed=SEED, plan=PLAN)
        verdict = judge(evidence)
        if verdict:
            print(report.keep(tmp_path, name, evidence, verdict, stack).read_text())
        assert verdict == {}

    return check


def kill_a_busy_child(scene: Scene) -> None:
    """Kill a child while there is more to do than all slots can take."""
    scene.load.burst(32, seconds=0.8)
    scene.last(0.3)
    processes.kill_a_child(scene)


def test_lost_answers_of_both_servers_to_an_api(withstands):
    """It cannot know whether RabbitMQ has its messages, and then whether Redis has its records."""

    def fault(scene: Scene) -> None:
        network.lose_answers(scene, 3, network.API_RABBIT)
        network.lose_answers(scene, 2, network.API_REDIS)

    withstands(fault)


def test_lost_answers_of_redis_to_a_worker_whose_child_is_killed(withstands):
    """Claims and outcomes arrive, nobody hears of it, and who asked dies."""

    def fault(scene: Scene) -> None:
        with network.broken(scene, "mute", network.WORKER_REDIS):
            scene.last(2)
            kill_a_busy_child(scene)
            scene.last(1)

    withstands(fault)


def test_a_hole_before_rabbitmq_while_children_and_a_scheduler_die(withstands):
    """One worker cannot acknowledge, and RabbitMQ does not know; what ran there runs again, and only that."""

    def fault(scene: Scene) -> None:
        with network.broken(scene, "hole", network.WORKER_RABBIT):
            scene.last(1)
            kill_a_busy_child(scene)
            processes.bounce(scene, scene.stack.schedulers[0], 1)
            kill_a_busy_child(scene)
            scene.last(1)

    withstands(fault)


def test_a_short_storm(withstands):
    """Children, an API and a scheduler die, a child stands still and connections are reset, in any order."""

    def stall_a_child(scene: Scene) -> None:
        processes.freeze(scene, scene.stack.children(scene.stack.workers[1])[:1], 1)

    acts = [
        kill_a_busy_child,
        mixed.kill_an_api,
        mixed.kill_a_scheduler,
        mixed.reset_worker_rabbit,
        stall_a_child,
    ]

    def fault(scene: Scene) -> None:
        for act in scene.rng.sample(acts, len(acts)):
            act(scene)
            scene.last(scene.rng.uniform(0.2, 0.8))

    withstands(fault)
