"""The ledger: what was handed over, and the proof that all of it has come out on the other side."""

from collections import Counter

from taskyard.job import TERMINAL, Job
from tests.polling import poll
from tests.yard import Yard


class Ledger:
    """Every job that a test has submitted, to be accounted for.

    Args:
        yard: Where they are.
    """

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._ids: list[str] = []
        self._unsure: list[str] = []

    def add(self, *ids: str) -> None:
        """Enter jobs."""
        self._ids += ids

    def add_unsure(self, job_id: str) -> None:
        """Enter a job whose submission failed: its message may be out all the same, and then it runs."""
        self._unsure.append(job_id)

    def settle(self, *, timeout_s: float = 60.0) -> Counter[str]:
        """Return how many jobs ended in which state, once all have, and the books agree.

        Raises:
            AssertionError: If one has vanished, has not ended, has two accepted ends, or is counted wrongly.
        """
        assert len(self._ids) == len(set(self._ids))
        self._await_ends(self._ids, timeout_s)
        known = [job_id for job_id in self._unsure if self._yard.job(job_id) is not None]
        self._await_ends(known, timeout_s)
        self.add(*known)
        jobs = self._jobs()
        for job in jobs:
            check(job)
        states = Counter(job.state.value for job in jobs)
        poll(lambda: self._counted() == states)
        self._check_queues(states)
        return states

    def _await_ends(self, ids: list[str], timeout_s: float) -> None:
        ended = {state.value for state in TERMINAL}
        try:
            poll(lambda: self._yard.states(ids).keys() <= ended, timeout_s)
        except AssertionError:
            jobs = [(job_id, self._yard.job(job_id)) for job_id in ids]
            lines = [
                f"{job_id}: {job}"
                for job_id, job in jobs
                if job is None or job.state not in TERMINAL
            ]
            told = f"{self._yard.states(ids)}; {self._yard.ready_messages()} messages"
            raise AssertionError("\n".join([f"not all have ended: {told}", *lines[:5]])) from None

    def _jobs(self) -> list[Job]:
        jobs: list[Job] = []
        for start in range(0, len(self._ids), 500):
            found = self._yard.store.get(self._ids[start : start + 500])
            jobs += [job for job in found if job is not None]
        assert len(jobs) == len(self._ids)
        return jobs

    def _counted(self) -> Counter[str]:
        """Return the store's own counts of the yard's queues; jobs outside the ledger would show here."""
        counted: Counter[str] = Counter()
        for row in self._yard.store.counts():
            counted.update(row.states)
        return counted

    def _check_queues(self, states: Counter[str]) -> None:
        """Nothing waits in RabbitMQ, and each failed job has a dead letter."""
        poll(lambda: self._yard.ready_messages() == 0)
        assert self._yard.dead_messages() >= states["failed"]


def check(job: Job) -> None:
    """Check that a record tells one story.

    Raises:
        AssertionError: If it does not.
    """
    numbers = [attempt.number for attempt in job.attempts]
    assert numbers == sorted(set(numbers)), f"attempts of {job.id}: {numbers}"
    final = [attempt for attempt in job.attempts if attempt.outcome == "completed"]
    assert len(final) == (job.state == "completed"), f"{job.id} is {job.state} with {job.attempts}"
    assert all(attempt.finished_at is not None for attempt in job.attempts)
    if job.state == "completed":
        assert job.attempts[-1].outcome == "completed"
        assert job.finished_at == job.attempts[-1].finished_at
