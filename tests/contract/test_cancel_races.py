"""Cancellations race with everything that happens to a job: each ends in exactly one way, and is told it."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, Queue
from typing import Any

import pytest

from taskyard.job import TERMINAL
from taskyard.store import JobStore
from taskyard.store.attempts import Claim, Outcome
from taskyard.store.controls import Limits
from tests.contract.jobs import HOUR_MS, counts, declare_limits, new_job, outbox
from tests.polling import poll

JOBS = 240
OPEN_S = 30.0


class Storm:
    """Workers, schedulers, a reclaimer and cancellers at one store, each in a thread with its own handle.

    Args:
        new_store: Opens a handle.
        seed: What their choices come from.
    """

    def __init__(self, new_store: Callable[..., JobStore], seed: int) -> None:
        self.new_store = new_store
        self.seed = seed
        self.store = new_store()
        # Not a SimpleQueue: with a timeout and several readers its `get` may wait for ever (CPython 3.11).
        self.messages: Queue[tuple[str, int]] = Queue()
        self.over = threading.Event()
        self.completed: list[str] = []
        self.verdicts: list[tuple[str, str, str]] = []
        rng = random.Random(seed)
        jobs = [new_job(f"job-{n:03}", delay_ms=rng.choice([None, 1, 30])) for n in range(JOBS)]
        self.ids = [job.id for job in jobs]
        self.store.create(jobs)

    def run(self) -> None:
        """Return when every job has ended."""
        roles = [self.work] * 3 + [self.dispatch] * 2 + [self.reclaim] + [self.cancel] * 2
        with ThreadPoolExecutor(len(roles)) as pool:
            running = [
                pool.submit(role, self.new_store(), random.Random(self.seed * 100 + number), number)
                for number, role in enumerate(roles)
            ]
            try:
                poll(lambda: self.has_ended() or any(each.done() for each in running), OPEN_S)
            finally:
                self.over.set()
            for each in running:
                each.result()

    def has_ended(self) -> bool:
        return all(job is not None and job.state in TERMINAL for job in self.store.get(self.ids))

    def work(self, store: JobStore, rng: random.Random, number: int) -> None:
        """Claim what messages ask for, and end it in all ways; now and then die with it."""
        life = 0
        while not self.over.is_set():
            owner = f"w{number}-{life}"
            beat = store.heartbeat(owner, {}, HOUR_MS, [])
            try:
                job_id, attempt = self.messages.get(timeout=0.02)
            except Empty:
                continue
            (verdict,) = store.claim(owner, owner, [Claim(job_id, attempt, "default", task="add")])
            if verdict.kind != "run":
                continue
            kind: Any = rng.choice(
                ["completed"] * 4 + ["retrying"] * 3 + ["released", "failed", "die"]
            )
            if rng.random() < 0.5:
                beat = store.heartbeat(owner, {}, HOUR_MS, [(job_id, verdict.token)])
                kind = "cancelled" if job_id in beat.cancelled else kind
            if kind == "die":
                store.end_lease(owner, "signal 9")
                life += 1
                continue
            delay_ms = rng.choice([0, 5])
            outcome = Outcome(job_id, verdict.token, kind, delay_ms=delay_ms, ttl_ms=HOUR_MS)
            (accepted,) = store.settle([outcome])
            assert accepted
            if kind == "completed":
                self.completed.append(job_id)

    def dispatch(self, store: JobStore, rng: random.Random, _: int) -> None:
        """Send what is due, and what is not confirmed again and again: redeliveries."""
        while not self.over.wait(rng.random() * 0.01):
            due, _next = store.take_due(20)
            for ready in (*due, *store.unpublished(5, 20)):
                self.messages.put((ready.id, ready.attempt))

    def reclaim(self, store: JobStore, rng: random.Random, _: int) -> None:
        """Let the jobs of the dead be retried."""
        while not self.over.wait(rng.random() * 0.02):
            for lost in store.lost("r1", HOUR_MS, 10):
                store.settle([Outcome(lost.id, lost.token, "retrying", "", "", 0, 0, True)])

    def cancel(self, store: JobStore, rng: random.Random, _: int) -> None:
        """Cancel a few here and there, once one has completed: others must not be slow enough to lose all."""
        while not self.over.wait(rng.random() * 0.02):
            if not self.completed:
                continue
            answers = store.cancel(rng.sample(self.ids, 4), HOUR_MS)
            self.verdicts += [(each.id, each.verdict, each.state) for each in answers]


@pytest.mark.parametrize("is_limited", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_job_ends_once_whoever_cancels_it_when(new_store, seed, is_limited):
    """Cancelled or too late; never completed and cancelled, and the counts stay right."""
    storm = Storm(new_store, seed)
    if is_limited:
        declare_limits(storm.store, Limits(concurrency=2))

    storm.run()

    states = {
        job_id: job.state.value
        for job_id, job in zip(storm.ids, storm.store.get(storm.ids), strict=True)
        if job is not None
    }
    cancelled = Counter(i for i, verdict, _ in storm.verdicts if verdict == "cancelled")
    completed = [i for i, state in states.items() if state == "completed"]
    assert sorted(completed) == sorted(storm.completed), "each completion was accepted once"
    assert {(states[i], times) for i, times in cancelled.items()} == {("cancelled", 1)}
    late = [(i, state) for i, verdict, state in storm.verdicts if verdict == "too_late"]
    assert late == [(i, states[i]) for i, _ in late]
    assert counts(storm.store) == {"default": dict(Counter(states.values()))}
    assert (set(), ([], None)) == (outbox(storm.store), storm.store.take_due(10))
    assert {"completed", "cancelled"} <= set(states.values())


def test_cancelled_jobs_leave_no_slot_taken(new_store):
    """After the storm the limit lets as many start as ever."""
    storm = Storm(new_store, 7)
    declare_limits(storm.store, Limits(concurrency=2))
    storm.run()

    ids = ["after-1", "after-2", "after-3"]
    storm.store.create([new_job(job_id) for job_id in ids])
    storm.store.heartbeat("w", {}, HOUR_MS, [])
    verdicts = storm.store.claim("w", "w", [Claim(i, 1, "default", task="add") for i in ids])

    assert [verdict.kind for verdict in verdicts] == ["run", "run", "limited"]
