"""Two nodes of three are lost: nothing is accepted that is not kept, and all goes on once they are back."""

import time
from functools import partial

import pytest

from tests import worker_tasks as tasks
from tests.cluster.load import Load
from tests.cluster.test_node_lost import ANSWER_S, lose
from tests.faults.busy_yard import outlast
from tests.polling import poll

#: How long there is no majority.
LOST_S = 40.0
#: How soon submissions are accepted again once there is one.
BACK_S = 30.0
#: Until the last of what was confirmed before has been told: an answer may be on its way just then.
UNDER_WAY_S = 2.0


@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
@pytest.mark.timeout(400)
def test_without_a_majority_nothing_is_accepted(cluster, yard, capsys, how):
    """Every answer is a refusal, and comes within the deadline; what was accepted before runs afterwards."""
    api, scheduler = yard.api(), yard.scheduler()
    workers = [yard.worker(), yard.worker()]
    with yard.running(scheduler, api, *workers):
        load = Load(yard, api.url)
        load.start()
        gate = yard.new_gate()
        running = yard.submit(tasks.wait_at, gate).id
        later = yard.submit(tasks.note, delay_s=10).id
        yard.await_event("waits", running)

        for node in cluster.nodes[:2]:
            lose(cluster, node, how)
        lost_at = time.time()
        scheduled = yard.submit(tasks.note, delay_s=1).id
        yard.open(gate)
        assert yard.ended(running).state == "completed"  # an outcome needs the store only
        outlast(LOST_S)
        healed_at = time.time()
        cluster.heal()
        for producer in load.producers:
            poll(partial(producer.is_accepted, healed_at, float("inf")), 90)
        back_s = {each.name: each.back_s(healed_at) for each in load.producers}
        poll(lambda: [problem for each in workers for problem in each.problems()] == [], 60)
        load.stop()

        with capsys.disabled():
            for producer in load.producers:
                back = f"back {back_s[producer.name]:.1f} s after healing began"
                print(f"\n{how}, two of three: {producer.summary(lost_at)}, {back}", end="")
        assert load.settle(running, later, scheduled).keys() == {"completed"}
        for producer in load.producers:
            assert not producer.is_accepted(lost_at + UNDER_WAY_S, healed_at)
            assert producer.slowest_s() < ANSWER_S
            assert back_s[producer.name] < BACK_S
