"""What the scheduler brings back by itself: lost messages and records, soon, once, and nothing else."""

import random

import pika
import pytest
import redis

from services.scheduler.chores.repair import Repair
from taskyard.dispatcher import first_message
from taskyard.errors import BrokerUnavailable
from taskyard.message import decode
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.telemetry import metrics
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    counts,
    heartbeat,
    new_job,
    pending,
    settle,
)
from tests.polling import poll

#: How long a job must be ready for its message to count as missing. Seconds.
AFTER_S = 0.05


@pytest.fixture
def depths(broker_url):
    depths = QueueDepths(broker_url)
    depths.start()
    poll(lambda: _answers(depths))
    yield depths
    depths.close()


def _answers(depths) -> bool:
    try:
        depths.read([], deadline_s=1)
    except BrokerUnavailable:
        return False
    return True


@pytest.fixture
def ready_dispatcher(dispatcher, publisher):
    """A dispatcher that is connected."""
    publisher.start()
    poll(lambda: publisher.is_ready)
    return dispatcher


@pytest.fixture
def chore(ready_dispatcher, depths):
    return Repair(ready_dispatcher, depths, deadline_s=30, after_s=AFTER_S)


@pytest.fixture
def server(result_backend):
    with redis.Redis.from_url(result_backend) as server:
        yield server


@pytest.fixture
def depth(depths):
    """A function that gives how many messages are ready in a queue, 0 if there is no such queue."""

    def messages(queue):
        found = depths.read([queue], deadline_s=30)
        return found[queue].messages if found else 0

    return messages


@pytest.fixture
def read(broker_url):
    """A function that has a consumer read a queue; it takes one message until it is closed."""
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:

        def consume(queue):
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume(queue, lambda *_: None)
            return channel

        yield consume


def passes(chore, until, deadline_s=60.0):
    """Let the chore pass again and again until something is so."""

    def is_so():
        chore.run_once()
        return until()

    poll(is_so, deadline_s, pause_s=0.02)


def confirmed(dispatcher, queue, count):
    """Dispatch jobs whose messages are known to be in their queue; return their ids."""
    ids = [job.id for job in dispatcher.dispatch([new_job(queue=queue) for _ in range(count)])]
    # Long enough for all of them to be missed at the first look.
    old_ms = round(2 * AFTER_S * 1000)
    poll(lambda: set(ids) <= set(dispatcher.store.oldest_published(queue, old_ms, 10_000)))
    return ids


def received(channel, queue):
    """Take all messages out of a queue; return the ids of their jobs."""
    ids = []
    while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
        ids.append(decode(body).message_id)
    return ids


def unaccounted(queue):
    (metric,) = metrics.JOBS_UNACCOUNTED.collect()
    return sum(each.value for each in metric.samples if each.labels["queue"] == queue)


def test_a_queue_that_was_purged_is_filled_again(
    chore, ready_dispatcher, channel, depth, read, queue
):
    """Each of its jobs has a message again, and no more than one."""
    ids = confirmed(ready_dispatcher, queue, 700)
    channel.queue_purge(queue)
    reader = read(queue)

    passes(chore, lambda: depth(queue) == 699 and not unaccounted(queue))

    reader.close()
    poll(lambda: depth(queue) == 700)
    assert sorted(received(channel, queue)) == sorted(ids)


def test_a_queue_that_was_deleted_is_there_again(chore, ready_dispatcher, channel, depth, queue):
    """With a message for each of its jobs."""
    ids = confirmed(ready_dispatcher, queue, 700)
    channel.queue_delete(queue)

    passes(chore, lambda: depth(queue) == 700 and not unaccounted(queue))

    assert sorted(received(channel, queue)) == sorted(ids)


def test_a_queue_that_nobody_reads_is_left_alone(chore, ready_dispatcher, channel, depth, queue):
    """RabbitMQ tells nothing of one whose leader is away, either; and nobody waits for its jobs."""
    confirmed(ready_dispatcher, queue, 5)
    channel.queue_purge(queue)

    passes(chore, lambda: unaccounted(queue) == 5)
    for _ in range(10):
        chore.run_once()

    assert (depth(queue), unaccounted(queue)) == (0, 5)


def test_what_is_there_is_left_alone(chore, ready_dispatcher, channel, depth, queue):
    """However long it waits in its queue, or in a worker."""
    ids = confirmed(ready_dispatcher, queue, 20)
    taken = [decode(channel.basic_get(queue)[2]).message_id for _ in range(5)]
    ready_dispatcher.store.heartbeat("w1", {"prefetched": {queue: 5}}, HOUR_MS, [])
    poll(lambda: depth(queue) == 15)

    for _ in range(20):
        chore.run_once()

    assert (depth(queue), unaccounted(queue)) == (15, 0)
    assert set(taken) <= set(ids)


def test_what_comes_meanwhile_hides_nothing(chore, ready_dispatcher, channel, queue):
    """However many jobs come at any time: their messages are no other's."""
    confirmed(ready_dispatcher, queue, 5)
    channel.queue_purge(queue)

    def are_missed():
        confirmed(ready_dispatcher, queue, 20)
        chore.run_once()
        return unaccounted(queue) == 5

    assert poll(are_missed)


def test_what_a_worker_holds_and_has_not_told_of_is_not_missing(
    chore, ready_dispatcher, channel, depth, read, queue
):
    """Its hands fill and empty faster than it tells: of a queue at work, who is overtaken counts."""
    confirmed(ready_dispatcher, queue, 20)
    ready_dispatcher.store.heartbeat("w1", {"prefetched": {queue: 0}}, HOUR_MS, [])
    read(queue)
    poll(lambda: depth(queue) == 19)

    for _ in range(5):
        chore.run_once()
        assert unaccounted(queue) == 0


def test_schedulers_publish_what_is_lost_once(
    settings, ready_dispatcher, depths, channel, depth, queue
):
    """Though all of them see that it is missing."""
    confirmed(ready_dispatcher, queue, 50)
    chores = [Repair(ready_dispatcher, depths, deadline_s=30, after_s=AFTER_S) for _ in range(3)]
    channel.queue_delete(queue)

    def are_back():
        for each in chores:
            each.run_once()
        return depth(queue) >= 50

    poll(are_back)
    assert len(received(channel, queue)) == 50


def aged(dispatcher, queue, count):
    """Dispatch jobs that have risen by waiting, so that each has two messages; return their ids."""
    ids = confirmed(dispatcher, queue, count)
    raised, _ = dispatcher.store.age(queue, 1, count)
    assert dispatcher.publish_each(raised) == {}
    dispatcher.store.mark_raised(queue, 1, [job.id for job in raised])
    poll(lambda: dispatcher.store.copies(recent_ms=round(AFTER_S * 1000)) == {queue: count})
    return ids


def test_copies_hide_no_message_that_is_missing(chore, ready_dispatcher, channel, queue):
    """As many are expected as there must be: one for each job, and the copies of those that have risen."""
    aged(ready_dispatcher, queue, 10)
    for _ in range(20):
        chore.run_once()
        assert unaccounted(queue) == 0
    for _ in range(3):
        channel.basic_get(queue, auto_ack=True)

    passes(chore, lambda: unaccounted(queue) == 3)


def test_copies_of_a_queue_that_was_purged_are_expected_no_more(
    chore, ready_dispatcher, channel, depth, read, queue
):
    """Each of its jobs has one message again, and nothing is missing."""
    ids = aged(ready_dispatcher, queue, 10)
    channel.queue_purge(queue)
    reader = read(queue)

    passes(chore, lambda: depth(queue) == 9 and not unaccounted(queue))
    passes(chore, lambda: queue not in ready_dispatcher.store.copies())

    reader.close()
    poll(lambda: depth(queue) == 10)
    assert sorted(received(channel, queue)) == sorted(ids)


def test_what_a_move_has_in_its_hands_is_left_alone(
    chore, ready_dispatcher, channel, depth, queue, store
):
    """The messages of a queue that is moved are in one beside it, until the move is over."""
    confirmed(ready_dispatcher, queue, 5)
    channel.queue_declare(moving_queue(queue))
    channel.queue_delete(queue)

    for _ in range(20):
        chore.run_once()
    assert (depth(queue), unaccounted(queue)) == (0, 0)

    channel.queue_delete(moving_queue(queue))
    passes(chore, lambda: depth(queue) == 5)


@pytest.mark.parametrize("index", ["waiting", "ready", "leases"])
def test_a_record_that_left_its_place_is_put_back(
    chore, store, server, key_prefix, publisher, queue, index
):
    """A waiting job, a ready one, and one that runs."""
    heartbeat(store)
    job_id = pending(store, queue=queue, delay_ms=HOUR_MS if index == "waiting" else None)
    if index == "leases":
        claim(store, job_id, queue=queue)
    key = f"{key_prefix}{index}" + (f":{queue}" if index == "ready" else "")
    before = server.zrange(key, 0, -1)
    server.delete(key)

    passes(chore, lambda: server.zrange(key, 0, -1) == before)

    assert unaccounted(queue) == 0


def test_a_broken_record_keeps_no_other_from_being_brought_back(
    chore, ready_dispatcher, store, server, key_prefix, channel, depth, queue
):
    """Whatever is in its place."""
    broken = confirmed(ready_dispatcher, queue, 3)
    confirmed(ready_dispatcher, queue, 8)
    channel.queue_delete(queue)
    server.hset(f"{key_prefix}j:{broken[0]}", "priority", "x")
    server.hdel(f"{key_prefix}j:{broken[1]}", "attempt", "priority")
    server.delete(f"{key_prefix}j:{broken[2]}")
    server.set(f"{key_prefix}j:{broken[2]}", "x")

    passes(chore, lambda: depth(queue) == 9)

    assert broken[0] in received(channel, queue)


def test_it_only_tells_where_it_may_not_repair(
    ready_dispatcher, depths, channel, depth, queue, store, server, key_prefix
):
    """With AUTO_REPAIR=false: an operator decides."""
    chore = Repair(ready_dispatcher, depths, deadline_s=30, after_s=AFTER_S, is_on=False)
    confirmed(ready_dispatcher, queue, 5)
    pending(store, queue=queue, delay_ms=HOUR_MS)
    channel.queue_purge(queue)
    server.delete(f"{key_prefix}waiting")

    passes(chore, lambda: unaccounted(queue) == 6)

    for _ in range(10):
        chore.run_once()
    assert (depth(queue), unaccounted(queue)) == (0, 6)


class Line:
    """A worker with one slot, which is never idle: it takes a message before it has ended the last."""

    def __init__(self, store, channel, queue):
        self._store, self._channel, self._queue = store, channel, queue
        channel.basic_qos(prefetch_count=1)
        self._messages = channel.consume(queue, inactivity_timeout=0.01)
        self._running = None
        self.messages = 0
        self.runs = []

    def take(self, count):
        """Take so many messages; return how many there were."""
        for taken in range(count):
            method, _, body = next(self._messages)
            if body is None:
                self._end()
                return taken
            self._channel.basic_ack(method.delivery_tag)
            self.messages += 1
            message = decode(body)
            asked = message.options.attempt
            verdict = claim(self._store, message.message_id, asked, queue=self._queue)
            if verdict.kind == "run":
                self._end()
                self._running = message.message_id, verdict.token
                self.runs.append(message.message_id)
        return count

    def _end(self):
        if self._running is not None:
            settle(self._store, *self._running)
        self._running = None


def test_those_that_are_lost_come_back_in_the_middle_of_others(
    chore, ready_dispatcher, store, channel, queue
):
    """Of many that wait, in every priority, some are lost: all run, and few messages are published for it."""
    rng = random.Random(7)
    heartbeat(store)
    jobs = [new_job(queue=queue, priority=rng.randrange(10)) for _ in range(1_000)]
    for start in range(0, 1_000, 20):
        store.create(jobs[start : start + 20])
    store.mark_published([(job.id, LATER_MS) for job in jobs])
    lost = set(rng.sample([job.id for job in jobs], 50))
    there = [first_message(job) for job in jobs if job.id not in lost]
    ready_dispatcher.publisher.publish(there, deadline_s=30)
    line = Line(store, channel, queue)

    def is_done():
        line.take(20)
        return len(line.runs) == 1_000

    passes(chore, is_done, deadline_s=150)

    line.take(100)
    assert counts(store)[queue] == {"completed": 1_000}
    assert len(line.runs) == len(set(line.runs))
    assert line.messages <= 1_000 + 10  # what is just in hand may look lost
