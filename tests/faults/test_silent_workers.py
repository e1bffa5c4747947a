"""Workers that RabbitMQ does not hear: what they hold is another's soon, and short silences cost nothing."""

import os
import signal
import time

import pytest

from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll

#: A default lease: what a silent worker has not begun is to be free by then.
LEASE_S = 15.0
#: For the looks of a test, and a machine that has much else to do.
LATE_S = 3.0
#: A silence that a worker survives: its supervisor takes a child for stuck after 12 s.
HELD_S = 10.0


@pytest.mark.slow
def test_what_a_silent_worker_holds_is_free_within_a_lease(make_yard, rabbit, links):
    """One is frozen, one is cut off from RabbitMQ. When they are heard again, both go on."""
    yard = make_yard(LEASE_S="60", WORKER_THREADS="1")
    frozen = yard.worker()
    cut_off = yard.worker(BROKER_URL=f"amqp://127.0.0.1:{links.open('broker', rabbit.port)}/")
    gate = yard.new_gate()
    with yard.running(yard.scheduler(), frozen, cut_off):
        ids = yard.submit_many(tasks.wait_at, 2, gate)
        for each in ids:
            yard.await_event("waits", each)

        began = time.monotonic()
        frozen.pause()
        links.set_mode("broker", "hole")
        poll(lambda: yard.ready_messages() == 2, LEASE_S + LATE_S)
        assert time.monotonic() - began > 5  # not by a look that is too strict

        frozen.resume()
        links.set_mode("broker", "pass")
        yard.open(gate)
        poll(lambda: yard.states(ids) == {"completed": 2})
        for each in ids:
            assert len(yard.events("waits", each)) == 1
        poll(lambda: frozen.problems() + cut_off.problems() == [])
        again = set(yard.submit_many(tasks.wait_at, 6, yard.new_gate()))
        poll(lambda: len({e.pid for e in yard.events("waits") if e.job_id in again}) == 2)


@pytest.mark.slow
def test_a_child_that_stands_still_for_a_while_loses_nothing(make_yard):
    """For a task that keeps the interpreter to itself, and for SIGSTOP; others run what it cannot."""
    yard = make_yard(LEASE_S="15", HEARTBEAT_S="1", WORKER_THREADS="2")
    ledger = Ledger(yard)
    two, healthy = yard.worker(WORKER_PROCESSES="2"), yard.worker()
    gate = yard.new_gate()
    with yard.running(yard.scheduler(), two):
        pids = {child.pid for child in two.children()}
        waiting = yard.submit_many(tasks.wait_at, 2, gate)
        for each in waiting:
            yard.await_event("waits", each)
        held = yard.submit(tasks.hold_interpreter, HELD_S)
        ledger.add(*waiting, held.id)
        holder = yard.await_event("holds", held.id).pid
        (pid,) = pids - {holder}
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with yard.running(healthy):
            while time.monotonic() - began < HELD_S:
                ledger.add(*yard.submit_many(tasks.note, 10))
                time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            yard.open(gate)

            states = ledger.settle()
            assert states.keys() == {"completed"}
            ran = [event.job_id for event in yard.events("ran")]
            assert len(ran) == len(set(ran))
            assert {child.pid for child in two.children()} == pids
            poll(lambda: two.problems() == [])
