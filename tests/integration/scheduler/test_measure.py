"""What the scheduler tells of jobs and queues."""

import pika
import pytest

from services.scheduler.chores.measure import FRONT_DOOR, Measure
from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.inspect import Depth, QueueDepths
from taskyard.rabbitmq.topology import UNROUTED, dead_queue_arguments
from taskyard.telemetry import metrics
from tests.contract.jobs import HOUR_MS, claim, heartbeat, new_job, settle
from tests.polling import poll


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


def test_depths_of_queues_that_exist(depths, dispatcher, queue):
    """Those that do not are left out, wherever they are in the list."""
    dispatcher.dispatch([new_job(queue=queue), new_job(queue=queue)])

    read = depths.read([f"{queue}-a", queue, f"{queue}.dead", "zzz", "000"], deadline_s=30)

    assert read == {queue: Depth(2, 0), f"{queue}.dead": Depth(0, 0)}


def test_depths_without_a_broker():
    """The error says what is wrong."""
    depths = QueueDepths("amqp://guest:guest@127.0.0.1:1/")
    depths.start()

    def refused():
        with pytest.raises(BrokerUnavailable) as caught:
            depths.read(["a"], deadline_s=1)
        return "refused" in str(caught.value)

    assert poll(refused)
    depths.close()


def test_gauges_follow_what_there_is(store, depths, dispatcher, channel, queue):
    """Jobs by state, ages, messages; what is gone is not told any more."""
    dispatcher.dispatch([new_job("a", queue=queue), new_job("b", queue=queue, delay_ms=HOUR_MS)])
    chore = Measure(store, depths, deadline_s=30)

    chore.run_once()
    assert {
        labels["state"]: value
        for labels, value in samples(metrics.JOBS)
        if labels["queue"] == queue
    } == {"pending": 1, "scheduled": 1}
    assert messages_of_work_queues() == {queue: 1, f"{queue}.dead": 0}
    assert samples(metrics.OVERDUE_SECONDS) == [({}, 0)]
    assert samples(metrics.STORE_MEMORY_BYTES)[0][1] > 0
    heartbeat(store)
    settle(store, "a", claim(store, "a", queue=queue).token, ttl_ms=0)
    store.cancel(["b"], 0)
    store.prune(10)
    channel.queue_delete(queue)

    chore.run_once()
    assert messages_of_work_queues() == {}
    for gauge in (metrics.JOBS, metrics.OLDEST_PENDING_SECONDS):
        assert samples(gauge) == []


def test_submissions_that_wait_are_told(store, depths, channel, version):
    """Their queues belong to no job, and are told where they are there."""
    arguments = dead_queue_arguments(version=version, queue_type="auto")
    channel.queue_declare(UNROUTED, durable=True, arguments=arguments)
    channel.queue_purge(UNROUTED)
    channel.basic_publish("", UNROUTED, b"{}", pika.BasicProperties(delivery_mode=2))

    measure = Measure(store, depths, deadline_s=30)

    def told():
        measure.run_once()
        return ({"queue": UNROUTED}, 1) in samples(metrics.QUEUE_MESSAGES)

    poll(told)
    channel.queue_purge(UNROUTED)


def messages_of_work_queues():
    told = {labels["queue"]: value for labels, value in samples(metrics.QUEUE_MESSAGES)}
    return {name: value for name, value in told.items() if name not in FRONT_DOOR}


def samples(gauge):
    (metric,) = gauge.collect()
    return [(sample.labels, sample.value) for sample in metric.samples]
