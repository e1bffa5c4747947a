"""Dead letters that RabbitMQ does not take: they wait, and nothing else does."""

import pytest
from msgspec.structs import replace

from services.worker.attempts.dead_letters import PendingDeadLetters
from taskyard.dead_letters.message import dead_letter
from taskyard.rabbitmq.topology import dead_queue
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.unit.worker.doubles import delivery


@pytest.fixture
def dead_letters(publisher, store):
    dead_letters = PendingDeadLetters(publisher, store, deadline_s=30)
    dead_letters.start()
    yield dead_letters
    dead_letters.stop()


def letter(queue, job_id, **headers):
    made = dead_letter(
        queue,
        b"{}",
        id=job_id,
        task="add",
        reason="invalid",
        error=None,
        attempts=0,
        first_failed_at_ms=None,
        worker=None,
        priority=5,
    )
    return replace(made, headers={**(made.headers or {}), **headers})


def test_a_queue_that_takes_none_holds_up_no_other(dead_letters, channel, queue):
    """However many wait for it; they are written once it does."""
    other = f"{queue}-other"
    channel.queue_declare(dead_queue(queue), durable=True, arguments={"x-max-length": 7})
    written = []
    for number in range(250):
        dead_letters.write(
            letter(queue, str(number)), "invalid", delivery(), lambda n=number: written.append(n)
        )
    dead_letters.write(letter(other, "good"), "invalid", delivery(), lambda: written.append("good"))

    poll(lambda: written == ["good"])
    assert "queue" in dead_letters.problems()[0]
    channel.queue_delete(dead_queue(queue))

    poll(lambda: len(written) == 251)
    assert (len(dead_letters), dead_letters.problems()) == (0, [])
    for name in (other, dead_queue(other)):
        channel.queue_delete(name)


def test_a_letter_that_cannot_be_published_holds_up_no_other(dead_letters, queue):
    """Of the same queue, before it and behind it."""
    written = []
    for name in ("a", "odd", "b"):
        odd = {"odd": object()} if name == "odd" else {}
        dead_letters.write(
            letter(queue, name, **odd),
            "invalid",
            delivery(),
            lambda name=name: written.append(name),
        )

    poll(lambda: set(written) == {"a", "b"})
    assert len(dead_letters) == 1
    poll(dead_letters.problems)


@pytest.fixture
def alarm(rabbit):
    """A function that has the broker block every publisher, or lets them go on."""

    def switch(is_on):
        rabbit.control("set_vm_memory_high_watermark", "0.00001" if is_on else "0.4")

    yield switch
    switch(False)


def test_failures_that_cannot_be_buried_leave_room_for_good_jobs(make_yard, alarm):
    """As many as the prefetch, and more: the good ones behind them run, and all ends well in the end."""
    yard = make_yard(LEASE_S="30")
    failing = yard.submit_many(tasks.fail_until, 40, "shut", max_retries=0)
    good = yard.submit_many(tasks.note, 10)
    alarm(True)
    worker = yard.worker()
    with yard.running(worker):
        poll(lambda: yard.states(good) == {"completed": 10})
        poll(lambda: yard.states(failing) == {"running": 40})
        poll(lambda: any("dead letters wait" in each for each in worker.problems()))
        alarm(False)

        poll(lambda: yard.states(failing) == {"failed": 40})
        assert yard.dead_messages() >= 40  # some may have got through, and not been confirmed
        assert all(len(yard.job(each).attempts) == 1 for each in failing)
        poll(lambda: worker.problems() == [])
