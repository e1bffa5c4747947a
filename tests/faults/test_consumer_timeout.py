"""RabbitMQ takes messages back that are not acknowledged within its `consumer_timeout`."""

import pytest

from taskyard.rabbitmq.topology import queue_arguments
from tests import worker_tasks as tasks
from tests.polling import poll

#: Until 4.2 RabbitMQ looks at channels each `channel_tick_interval`; from 4.3 on quorum queues have timers.
SET = (
    "application:set_env(rabbit, consumer_timeout, {timeout_ms}), "
    "application:set_env(rabbit, channel_tick_interval, {tick_ms})."
)


@pytest.fixture(params=[1, 1000])
def low_timeout(request, rabbit):
    """The lowest that RabbitMQ takes, in milliseconds, and a low one."""
    rabbit.control("eval", SET.format(timeout_ms=request.param, tick_ms=100))
    yield
    rabbit.control("eval", SET.format(timeout_ms=1_800_000, tick_ms=60_000))


def await_timeout(yard, version):
    """Return when RabbitMQ has taken back a message that somebody else began to hold now."""
    taken_back: list[object] = []
    arguments = queue_arguments(yard.queue, version=version)
    with yard.channel() as channel:
        name = f"{yard.queue}-held"
        yard.queues.append(name)
        channel.queue_declare(name, durable=True, arguments=arguments)
        channel.basic_publish("", name, b"held")
        channel.add_on_cancel_callback(taken_back.append)
        channel.basic_consume(name, lambda *_: None)

        def is_over():
            channel.connection.process_data_events(time_limit=0)
            return taken_back or not channel.is_open

        poll(is_over)


@pytest.mark.usefixtures("low_timeout")
def test_a_job_past_the_timeout_runs_once_and_its_neighbours_in_order(make_yard, version):
    """Its message may be taken back and come again; once the job has ended, it is acknowledged, not run."""
    yard = make_yard(WORKER_THREADS="1")
    with yard.running(yard.worker(WORKER_QUEUES=yard.queue)):
        gate = yard.new_gate()
        long = yard.submit(tasks.wait_at, gate)
        yard.await_event("waits", long.id)
        ids = yard.submit_many(tasks.note, 10)
        await_timeout(yard, version)
        yard.open(gate)

        poll(lambda: yard.states([long.id, *ids]) == {"completed": 11}, 60)
        poll(lambda: yard.ready_messages() == 0)

    assert [event.job_id for event in yard.events("ran")] == ids
    assert len(yard.events("waits", long.id)) == 1
    assert [len(yard.job(each).attempts) for each in (long.id, *ids)] == [1] * 11
    assert yard.dead_messages() == 0
