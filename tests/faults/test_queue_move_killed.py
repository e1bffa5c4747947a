"""`taskyard queues move` is killed in the middle, and goes on when it is run again."""

import subprocess
import sys
from pathlib import Path

import pika
import pytest

from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.rabbitmq.queue_move.transfer import WINDOW
from taskyard.rabbitmq.topology import QUORUM_SINCE
from tests import worker_tasks as tasks
from tests.polling import poll

COMMAND = Path(sys.executable).with_name("taskyard")
JOBS = 1000  # of each priority


@pytest.fixture
def yard(make_yard, version):
    """A yard that submits with the type that `auto` does not mean here."""
    other = "classic" if version >= QUORUM_SINCE else "quorum"
    return make_yard(QUEUE_TYPE=other, WORKER_THREADS="1")


def depth(yard, queue):
    """Return how many messages wait in a queue; None if it is not there."""
    try:
        return yard.ready_messages(queue)
    except pika.exceptions.ChannelClosedByBroker:
        return None


def test_a_move_that_is_killed_loses_nothing_and_runs_nothing_twice(yard, version):
    """Killed on the way out and on the way back, again and again: each job runs once, about in its order."""
    queue, moving = yard.queue, moving_queue(yard.queue)
    by_priority = {p: yard.submit_many(tasks.note, JOBS, priority=p) for p in (1, 2, 3)}
    ids = [job_id for each in by_priority.values() for job_id in each]
    moments = {
        "some have left the old queue": lambda: (depth(yard, moving) or 0) > 0,
        "most have left it": lambda: (depth(yard, moving) or 0) > 2 * JOBS,
        "some are in the new one": lambda: 0 < (depth(yard, moving) or 0) < 3 * JOBS <= total(yard),
        "most are in the new one": lambda: (depth(yard, queue) or 0) > 2 * JOBS,
    }
    for is_time in moments.values():
        kill_at(start_move(yard), is_time)

    poll(lambda: start_move(yard).wait() == 0)

    assert depth(yard, moving) is None
    with yard.running(yard.worker(QUEUE_TYPE="auto", WORKER_QUEUES=queue)):
        poll(lambda: yard.states(ids) == {"completed": 3 * JOBS}, 120)
        poll(lambda: yard.ready_messages() == 0)
    ran = [event.job_id for event in yard.events("ran")]
    assert sorted(ran) == sorted(ids)
    # A quorum queue that is published to does not promise the order of what was on its way at a kill.
    by_at_most = WINDOW if version >= QUORUM_SINCE else 0
    for each in by_priority.values():
        places = {job_id: place for place, job_id in enumerate(each)}
        order = [places[job_id] for job_id in ran if job_id in places]
        assert max(abs(place - at) for at, place in enumerate(order)) <= by_at_most


def test_a_move_behind_a_broken_network_is_forgotten(yard, rabbit):
    """RabbitMQ wants signs of life on all of its connections, also on the one that has the locks."""
    yard.submit_many(tasks.note, 10)
    rabbit.control("set_vm_memory_high_watermark", "0.00001")  # so that it stays in the middle
    try:
        moving = start_move(yard)
        heartbeats = poll(lambda: heartbeats_of_moves(rabbit, 2))
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")

    poll(lambda: moving.poll() is not None, 60)
    assert start_move(yard).wait() == 0
    assert "0" not in heartbeats


def heartbeats_of_moves(rabbit, count):
    """Return the seconds of each connection of moves, or None if there are not so many."""
    told = rabbit.control("list_connections", "client_properties", "timeout").splitlines()
    found = [line.split()[-1] for line in told if "taskyard move" in line]
    return found if len(found) >= count else None


def total(yard):
    """Return how many messages wait, here and there."""
    return (depth(yard, yard.queue) or 0) + (depth(yard, moving_queue(yard.queue)) or 0)


def kill_at(process, is_time):
    """Kill a process at some moment, if it has not ended by then."""
    poll(lambda: process.poll() is not None or is_time(), 60)
    process.kill()
    process.wait()


def start_move(yard):
    """Start the command."""
    return subprocess.Popen(
        [COMMAND, "queues", "move", yard.queue],
        env={**yard.env, "QUEUE_TYPE": "auto"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
