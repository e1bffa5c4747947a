"""Nothing waits behind slots that are busy for long while another worker could run it."""

import pytest

from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import metric

#: Headers that RabbitMQ adds to what a quorum queue has delivered before.
COUNTS = {"x-delivery-count", "x-acquired-count"}


def fill(yard, *, slots=2):
    """Have all slots busy until a gate opens, in a worker that has prefetched many tiny jobs before."""
    tiny = yard.submit_many(tasks.echo, 100)
    poll(lambda: yard.states(tiny) == {"completed": 100})
    gate = yard.new_gate()
    for handle in [yard.submit(tasks.wait_at, gate) for _ in range(slots)]:
        yard.await_event("waits", handle.id)
    return gate


def is_full(yard):
    """Whether the only worker takes nothing more, and has nothing that waits."""
    (worker,) = yard.store.workers()
    return worker["is_full"] and not worker["prefetched"]


def taken(channel, queue):
    """Take a message out of a queue, if there is one; return its properties and body."""
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    return None if method is None else (properties, body)


def ran(yard, ids):
    """Return those of the jobs that have run, in their order."""
    return [event.job_id for event in yard.events("ran") if event.job_id in ids]


def test_what_waits_behind_long_jobs_runs_elsewhere_by_priority(make_yard):
    """Whatever the first worker had prefetched goes back, and behind what matters more."""
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        fill(yard)
        waiting = yard.submit_many(tasks.note, 20, priority=5)
        poll(lambda: is_full(yard) and yard.ready_messages() == 20)
        low = yard.submit(tasks.note, priority=0).id
        high = yard.submit(tasks.note, priority=9).id

        with yard.running(yard.worker(WORKER_THREADS="1")):
            poll(lambda: len(ran(yard, {*waiting, low, high})) == 22)

        order = ran(yard, {*waiting, low, high})
        assert (order[0], order[-1]) == (high, low)
        assert yard.events("passed") == []  # the first worker has done nothing yet
        assert [len(yard.job(each).attempts) for each in waiting] == [1] * 20


@pytest.mark.parametrize(
    "odd",
    [{}, {"expiration": "600000"}, {"user_id": "guest"}, {"headers": {"CC": ["elsewhere"]}}],
    ids=str,
)
def test_what_goes_back_is_what_came(make_yard, odd):
    """A stranger's message, with all that it has."""
    yard = make_yard()
    body = yard.body("test.note")
    properties = {
        "app_id": "theirs",
        "content_type": "application/json",
        "correlation_id": "c-1",
        "delivery_mode": 2,
        "headers": {"their-number": 7, "their-text": "é"},
        "message_id": "their-own",
        "priority": 3,
        "reply_to": "their-queue",
        "timestamp": 1_700_000_000,
        "type": "test.note",
        **odd,
    }
    with yard.running(yard.worker()):
        fill(yard)
        yard.publish(body, **properties)
        with yard.channel() as channel:
            # A look at the depth may come before the worker has had it.
            found, found_body = poll(lambda: taken(channel, yard.queue))
        headers = {k: v for k, v in found.headers.items() if k not in COUNTS}
        assert found_body == body
        assert {**vars(found), "headers": headers}.items() >= properties.items()


def test_each_of_its_queues_is_free_for_others(make_yard):
    """Of one queue all slots are busy: what waits in the other waits for any worker."""
    yard = make_yard()
    with yard.running(yard.worker()):
        fill(yard)
        other = yard.submit_many(tasks.note, 10, queue=tasks.QUEUE)
        poll(lambda: yard.ready_messages(tasks.QUEUE) == 10)

        with yard.running(yard.worker()):
            poll(lambda: yard.states(other) == {"completed": 10})


def test_a_full_worker_is_still_one_that_reads_its_queues(make_yard):
    """Nobody is to be woken up because long jobs run."""
    yard = make_yard()
    scheduler = yard.scheduler()
    with yard.running(yard.worker(), scheduler):
        gate = fill(yard)
        poll(lambda: is_full(yard))
        waiting = yard.submit_many(tasks.note, 5)

        def consumers():
            return metric(scheduler, "taskyard_queue_consumers", queue=yard.queue)

        poll(lambda: metric(scheduler, "taskyard_queue_ready_messages", queue=yard.queue) == 5)
        assert (
            consumers() >= 1
        )  # of a quorum queue those count, too, that have ended and hold something

        yard.open(gate)
        poll(lambda: yard.states(waiting) == {"completed": 5})
        poll(lambda: not yard.store.workers()[0]["is_full"])


def test_all_queues_get_slots_that_become_free(make_yard):
    """Of two queues with more than enough long jobs each."""
    yard = make_yard(WORKER_THREADS="1")
    with yard.running(yard.worker()):
        gates = [yard.new_gate() for _ in range(6)]
        ids = [
            yard.submit(tasks.wait_at, gate, queue=queue).id
            for gate, queue in zip(gates, [yard.queue, tasks.QUEUE] * 3, strict=True)
        ]
        queues: list[str] = []
        for _ in ids:
            poll(lambda: len(yard.events("waits")) > len(queues))
            job = yard.job(yard.events("waits")[-1].job_id)
            queues.append(job.queue)
            yard.open(gates[ids.index(job.id)])
        assert poll(lambda: yard.states(ids) == {"completed": 6})
    assert sorted(queues[:2]) == sorted(queues[2:4]) == sorted(queues[4:])


def test_without_the_store_a_worker_holds_nothing(make_yard, links, redis_server):
    """What it had prefetched runs on another, which knows a store."""
    yard = make_yard(STORE_TIMEOUT_S="1")
    port = links.open("store", redis_server.port)
    with yard.running(yard.worker(RESULT_BACKEND=f"redis://127.0.0.1:{port}/0")):
        fill(yard, slots=1)
        links.set_mode("store", "hole")
        ids = yard.submit_many(tasks.note, 10)

        with yard.running(yard.worker()):
            poll(lambda: yard.states(ids) == {"completed": 10})
