"""One node of three is killed, frozen or cut off, while jobs come in by every door and run."""

import time

import pytest

from tests import worker_tasks as tasks
from tests.cluster.load import Load
from tests.faults.busy_yard import outlast
from tests.polling import poll

#: Submissions are accepted again within this.
BACK_S = 15.0
#: How long a node is lost: until RabbitMQ itself calls it down, a minute at most, and some time more.
LOST_S = 30.0
#: How long the load goes on afterwards: what was lost with the node comes back meanwhile.
HEALED_S = 15.0
#: Slots of all workers.
SLOTS = 6
#: An answer that takes longer than the deadline of publishing, and then some, hangs.
ANSWER_S = 10.0


def lose(cluster, node, how):
    """Lose a node."""
    if how == "killed":
        node.kill()
    elif how == "frozen":
        node.pause()
    elif how == "cut off":
        cluster.network.cut_off(node.number)
    else:
        cluster.network.part(node.number)


@pytest.mark.parametrize("whose", ["the queue", "the API"])
@pytest.mark.parametrize("how", ["killed", "frozen", "cut off", "parted"])
@pytest.mark.timeout(400)
def test_a_node_is_lost_and_comes_back(cluster, yard, capsys, how, whose):
    """Nothing is lost, submissions are back in time, and priorities hold meanwhile.

    `parted` is cut off from the other nodes only: clients that are connected to it stay so.
    """
    api, workers = yard.api(), [yard.worker(), yard.worker(WORKER_PROCESSES="2")]
    with yard.running(yard.scheduler(), api, *workers):
        first = yard.submit(tasks.add, 1, 2)
        assert first.get(timeout=30) == 3
        assert {len(each) for each in cluster.members().values()} == {3}
        load = Load(yard, api.url)
        load.start()
        node = (
            cluster.leader(yard.queue)
            if whose == "the queue"
            else cluster.connected("taskyard api")
        )

        lost_at = time.time()
        lose(cluster, node, how)
        outlast(LOST_S)
        others = assert_priorities(yard)
        cluster.heal()
        healed_at = time.time()
        outlast(HEALED_S)
        children = {child.pid for worker in workers for child in worker.children()}
        poll(lambda: children <= {e.pid for e in yard.events("ran") if e.time > healed_at}, 60)
        load.stop()

        with capsys.disabled():
            for producer in load.producers:
                print(f"\n{how}, the node of {whose}: {producer.summary(lost_at)}", end="")
        assert load.settle(first.id, *others).keys() == {"completed"}
        for producer in load.producers:
            assert producer.longest_gap_s(lost_at) < BACK_S
            assert producer.slowest_s() < ANSWER_S


def assert_priorities(yard):
    """A job of priority 9 that comes last starts before earlier ones of priority 1, but for a few."""
    yard.store.pause("queue", yard.queue, {"by": "test"})
    outlast(2.0)  # workers hear of it with their heartbeat
    low = yard.submit_many(tasks.note, 40, "low", priority=1)
    high = yard.submit(tasks.note, "high", priority=9).id
    yard.store.resume("queue", yard.queue)
    poll(lambda: len(yard.events("low")) >= 40 and yard.events("high"), 60)
    order = [e.what for e in yard.events() if e.what in ("low", "high")]
    assert order.index("high") < SLOTS
    return [high, *low]
