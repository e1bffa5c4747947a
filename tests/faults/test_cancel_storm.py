"""Hundreds of short jobs are cancelled while workers run, stop and are killed: what was answered holds."""

import random
import threading

from taskyard.operations.bulk import cancel_found
from taskyard.store.finding import Filter
from tests import worker_tasks as tasks
from tests.contract.jobs import HOUR_MS
from tests.polling import poll
from tests.yard import Yard, kill


class Canceller(threading.Thread):
    """Cancels a few of some jobs at a time, until it is told to stop or has met an error."""

    def __init__(self, yard: Yard, ids: list[str], pause_s: float) -> None:
        super().__init__(daemon=True)
        self._store = yard.store
        self._ids = ids
        self._pause_s = pause_s
        self._rng = random.Random(1)
        self.over = threading.Event()
        self.answers: list[tuple[str, str, str]] = []

    def run(self) -> None:
        """Cancel, at random and again and again."""
        while not self.over.wait(self._pause_s):
            for each in self._store.cancel(self._rng.sample(self._ids, 5), HOUR_MS):
                self.answers.append((each.id, each.verdict, each.state))


def test_each_job_is_completed_or_cancelled_and_was_told_so(make_yard):
    """A worker is stopped, one is killed, and all jobs end; cancelled ones that had not started never ran."""
    yard = make_yard()
    ids = [
        *yard.submit_many(tasks.busy, 250, 0.01),
        *yard.submit_many(tasks.in_pairs, 100, 0.005),
        *yard.submit_many(tasks.flaky, 100, 1),
        *yard.submit_many(tasks.note, 100, delay_s=1),
    ]
    random.Random(2).shuffle(ids)
    canceller = Canceller(yard, ids, pause_s=0.04)
    worker = yard.worker()
    with yard.running(worker, yard.scheduler()):
        canceller.start()
        poll(lambda: yard.states(ids)["completed"] > 40)
        worker.stop()
        worker.start()
        worker.wait_ready()
        poll(lambda: yard.states(ids)["completed"] > 80)
        kill(worker.children()[0].pid)
        poll(lambda: yard.states(ids)["completed"] > 120)
        done = cancel_found(
            yard.store, Filter(task=tasks.busy.name), cursor=None, limit=50, ttl_ms=HOUR_MS
        )
        assert done.cancelled + done.requested + done.too_late <= 50
        poll(lambda: set(yard.states(ids)) <= {"completed", "cancelled"}, 60)
        canceller.over.set()
        canceller.join(30)

    jobs = {job.id: job for job in map(yard.job, ids)}
    cancelled = {i for i, verdict, _ in canceller.answers if verdict == "cancelled"}
    late = [(i, state) for i, verdict, state in canceller.answers if verdict == "too_late"]
    assert len(cancelled) > 20
    assert {jobs[i].state.value for i in cancelled} == {"cancelled"}
    assert late == [(i, jobs[i].state.value) for i, _ in late]
    never_started = {i for i in cancelled if not jobs[i].attempts}
    assert never_started & {event.job_id for event in yard.events()} == set()
    assert {i for i, job in jobs.items() if job.state == "completed" and i in cancelled} == set()
    assert {row.queue: row.states for row in yard.store.counts() if row.states} == {
        yard.queue: dict(yard.states(ids))
    }
