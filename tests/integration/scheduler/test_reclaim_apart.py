"""Reclaiming where one job fails by itself: the others go on, and no dead letter is published twice."""

import random
import time

import pytest
import redis
from msgspec.structs import replace
from prometheus_client import REGISTRY

from services.scheduler.chores.dead_letters import KeepDeadLetters
from services.scheduler.chores.reclaim import LIMIT, Reclaim
from taskyard.dead_letters.message import dead_letter
from taskyard.errors import BrokerUnavailable, StoreFault
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.topology import dead_queue
from tests.contract.jobs import claim, counts, heartbeat, new_job
from tests.polling import poll


@pytest.fixture
def server(settings):
    with redis.Redis.from_url(settings.result_backend, decode_responses=True) as server:
        yield server


@pytest.fixture
def record(server, key_prefix):
    """A function that gives the state in a job's record, which need not be readable."""
    return lambda job_id: server.hget(f"{key_prefix}j:{job_id}", "state")


@pytest.fixture
def ready_publisher(publisher):
    """A publisher that is connected."""
    publisher.start()
    poll(lambda: publisher.is_ready)
    return publisher


@pytest.fixture
def make_reclaim(ready_publisher, settings):
    """A function that makes the chore, where the first loss of a job that was alone is its last."""
    strict = replace(settings, max_crashes=1)
    return lambda store: Reclaim(store, ready_publisher, strict, random.Random(1))


@pytest.fixture
def reclaim(make_reclaim, store):
    return make_reclaim(store)


@pytest.fixture
def written(dead_letters):
    """A function that takes the dead letters of a queue, and gives their ids in order."""
    return lambda queue: sorted(properties.message_id for properties, _ in dead_letters(queue))


def lose(store, queue, *ids):
    """Have each job lost by a worker of its own."""
    store.create([new_job(each, queue=queue) for each in ids])
    for each in ids:
        heartbeat(store, f"w-{each}")
        claim(store, each, owner=f"w-{each}", queue=queue)
        store.end_lease(f"w-{each}", "signal 9")


def resting(what: str) -> float | None:
    """Return how many of these rest."""
    return REGISTRY.get_sample_value("taskyard_resting", {"what": what})


@pytest.mark.parametrize("damage", ["attempt", "index"])
def test_a_job_whose_past_or_place_is_damaged_is_buried_like_the_others(
    store, reclaim, server, key_prefix, record, written, queue, damage
):
    """Its dead letter does without what cannot be read, or is indexed later; it is published once."""
    lose(store, queue, "bad", "good")
    if damage == "attempt":
        server.hset(f"{key_prefix}j:bad", "a:0", "{")
    else:
        server.set(f"{key_prefix}d:bad", "x")

    for _ in range(3):
        reclaim.run_once()

    assert (record("bad"), record("good")) == ("failed", "failed")
    assert counts(store) == {queue: {"failed": 2}}
    assert written(queue) == ["bad", "good"]


class Odd:
    """A store that fails at the outcome of one job, so many times."""

    def __init__(self, store, *, failures):
        self._store = store
        self._failures = failures
        self.failed_at: list[float] = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def settle(self, outcomes):
        if len(self.failed_at) < self._failures and any(each.id == "bad" for each in outcomes):
            if len(outcomes) == 1:
                self.failed_at.append(time.monotonic())
            raise StoreFault("odd")
        return self._store.settle(outcomes)


def test_a_job_that_cannot_be_settled_rests_and_is_buried_once(
    store, make_reclaim, record, written, queue
):
    """Longer each time; once it can be settled it is, without another dead letter."""
    odd = Odd(store, failures=3)
    reclaim = make_reclaim(odd)
    lose(store, queue, "bad", "good")

    poll(lambda: reclaim.run_once() is None and len(odd.failed_at) == 2)
    assert (record("bad"), record("good")) == ("running", "failed")
    assert counts(store) == {queue: {"failed": 1, "running": 1}}
    poll(lambda: reclaim.run_once() is None and record("bad") == "failed")

    first, second, third = odd.failed_at
    assert (second - first >= 1, third - second >= 2) == (True, True)
    assert counts(store) == {queue: {"failed": 2}}
    assert written(queue) == ["bad", "good"]
    assert resting("lost job") == 0


def test_a_queue_that_takes_no_dead_letters_holds_up_no_other(
    store, reclaim, channel, written, queue
):
    """Though more of its jobs are lost than a pass takes: they rest together, and take no pass its places."""
    bad, before = f"{queue}-bad", resting("queue")
    channel.queue_declare(dead_queue(bad), durable=True, arguments={"x-max-length": 3})
    lost = sorted(f"{queue}-{n}" for n in range(LIMIT + 1))
    lose(store, bad, *lost)
    lose(store, queue, "good")

    poll(lambda: reclaim.run_once() is None)

    assert counts(store) == {bad: {"running": LIMIT + 1}, queue: {"failed": 1}}
    assert (resting("queue of reclaim"), resting("queue")) == (1, before)
    channel.queue_delete(dead_queue(bad))
    poll(lambda: reclaim.run_once() is None and counts(store)[bad] == {"failed": LIMIT + 1})
    assert (written(bad), written(queue)) == (lost, ["good"])
    channel.queue_delete(dead_queue(bad))


def test_a_dead_letter_that_cannot_be_indexed_holds_up_no_other(
    store, ready_publisher, settings, server, key_prefix, queue
):
    """Nor one that says that it is a job, and is no text: it is a stranger."""
    depths = QueueDepths(settings.broker_url)
    depths.start()
    keeper = KeepDeadLetters(store, depths, settings, rest_factor=0)
    bodies = {"bytes": b"\xff", "place": b"{}", "good": b"{}"}
    letters = [
        dead_letter(
            queue,
            body,
            id=name,
            task="add",
            reason="crash_loop",
            error=None,
            attempts=1,
            first_failed_at_ms=None,
            worker=None,
            priority=5,
        )
        for name, body in bodies.items()
    ]
    store.declare([], [queue])
    server.set(f"{key_prefix}d:place", "x")
    assert ready_publisher.publish_each(letters, deadline_s=30, is_whole=False) == {}

    def has_found() -> bool:
        try:
            keeper.run_once()
        except BrokerUnavailable:  # it is not connected yet
            return False
        return all(store.dead_letters(["bytes", "good"]))

    poll(has_found)

    stranger, good = store.dead_letters(["bytes", "good"])
    assert (stranger.is_job, good.is_job) == (False, True)
    depths.close()
