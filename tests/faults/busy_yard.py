"""What a fault of a server comes upon: jobs that run, jobs behind them, and leases that would end."""

import time

from tests import worker_tasks as tasks
from tests.polling import poll


def busy_worker(yard, ledger):
    """Submit two jobs that run and wait at a gate, and twenty behind them."""
    gate = yard.new_gate()
    running = [yard.submit(tasks.wait_at, gate).id for _ in range(2)]
    for each in running:
        yard.await_event("waits", each)
    behind = [yard.submit(tasks.note).id for _ in range(20)]
    ledger.add(*running, *behind)
    return running, behind, gate


def outlast(lease_s):
    """Return when so much time has passed: nothing else tells that a lease could have ended."""
    until = time.time() + lease_s
    poll(lambda: time.time() > until, lease_s + 5)
