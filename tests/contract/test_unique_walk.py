"""A random walk of jobs that replace one another: one that is safe lives, and a failure loses none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from taskyard.message import new_id
from taskyard.store import JobStore
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.jobs import Created, Unique
from tests.contract.jobs import HOUR_MS, claim, get, heartbeat, new_job, settle

LOCK = Unique(lock="l", lock_ms=HOUR_MS, policy="replace")
places = st.integers(0, 1000)


@dataclass
class Model:
    """What a job should be by now."""

    id: str
    state: str
    is_safe: bool = False
    #: Others were cancelled, or asked to stop, for it.
    has_replaced: bool = False
    was_retried: bool = False
    attempt: int = 0
    token: int = 0
    is_asked_to_stop: bool = False

    @property
    def lives(self) -> bool:
        """Whether it has not ended, and was not replaced."""
        return self.state in ("scheduled", "pending", "running") and not self.is_asked_to_stop


class Walk(RuleBasedStateMachine):
    """The store and the model take each step together; the model's list is in the order of recording."""

    #: Set by the test: opens an empty store.
    open_store: ClassVar[Callable[[], JobStore]]

    def __init__(self) -> None:
        super().__init__()
        self.store: JobStore = type(self).open_store()
        self.jobs: list[Model] = []
        heartbeat(self.store)

    def _pick(self, place: int, *states: str) -> Model | None:
        fitting = [job for job in self.jobs if job.state in states]
        return fitting[place % len(fitting)] if fitting else None

    @rule(delay_ms=st.sampled_from([None, HOUR_MS]))
    def submit(self, delay_ms):
        """Record one that will replace what lives."""
        job = new_job(new_id(), unique=LOCK, delay_ms=delay_ms)
        (created,) = self.store.create([job])
        assert isinstance(created, Created)
        assert (created.is_new, created.replaces) == (True, any(each.lives for each in self.jobs))
        self.jobs.append(Model(job.id, "pending" if delay_ms is None else "scheduled"))

    @rule(place=places)
    def confirm(self, place):
        """Its message is safe."""
        job = self._pick(place, "scheduled", "pending", "running", "cancelled", "completed")
        if job:
            self.store.replace([job.id])
            self._is_safe(job)

    def _is_safe(self, job: Model) -> None:
        if not job.lives or job.is_safe:
            return
        job.is_safe = True
        for older in self.jobs[: self.jobs.index(job)]:
            job.has_replaced |= older.lives
            older.is_asked_to_stop |= older.state == "running"
            if older.state in ("scheduled", "pending"):
                older.state = "cancelled"

    @rule(place=places)
    def withdraw(self, place):
        """Its submission fails: where it has cost another its place, it stays."""
        job = self._pick(place, "scheduled", "pending")
        if job and not job.attempt and not job.was_retried:
            assert self.store.withdraw([job.id]) == ([job.id] if job.has_replaced else [])
            if not job.has_replaced:
                self.jobs.remove(job)

    @rule(place=places)
    def cancel(self, place):
        """Somebody does not want it any more."""
        job = self._pick(place, "scheduled", "pending")
        if job:
            self.store.cancel([job.id], HOUR_MS)
            job.state = "cancelled"

    @rule(place=places)
    def start(self, place):
        """Its message comes to a worker."""
        job = self._pick(place, "pending", "cancelled")
        if job:
            verdict = claim(self.store, job.id, job.attempt + 1)
            assert verdict.kind == ("run" if job.state == "pending" else "cancelled")
            if job.state == "pending":
                self._is_safe(job)
                job.state, job.attempt, job.token = "running", job.attempt + 1, verdict.token

    @rule(place=places)
    def put_aside(self, place):
        """Its message comes to a worker that does not know its task."""
        job = self._pick(place, "pending")
        if job:
            verdict = claim(
                self.store, job.id, job.attempt + 1, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS
            )
            assert verdict.kind == "parked"
            self._is_safe(job)
            job.state = "scheduled"

    @rule()
    def look_after(self):
        """Whoever submitted what waits has not said that it is safe."""
        self.store.unpublished(0, 1000)
        for job in self.jobs:
            if job.state == "scheduled":
                self._is_safe(job)

    @rule(place=places)
    def end(self, place):
        """It returns."""
        job = self._pick(place, "running")
        if job:
            assert settle(self.store, job.id, job.token)
            job.state, job.is_asked_to_stop = "completed", False

    @rule(place=places)
    def retry(self, place):
        """An operator wants it again: only where no other lives. It is the latest then."""
        job = self._pick(place, "cancelled")
        if job:
            living = [each.id for each in self.jobs if each.lives]
            (answer,) = self.store.retry([RetryRequest(job.id, job.attempt, new_job(job.id).body)])
            assert answer.verdict == ("not_unique" if living else "retried")
            assert not living or answer.holder in living
            if not living:
                job.state, job.is_safe, job.was_retried = "pending", True, True
                self.jobs.remove(job)
                self.jobs.append(job)

    @invariant()
    def agrees(self):
        """Of those that are safe at most one lives."""
        for job in self.jobs:
            found = get(self.store, job.id)
            assert job.state == found.state, job
            assert job.state != "running" or found.cancel_requested == job.is_asked_to_stop
        assert sum(job.lives and job.is_safe for job in self.jobs) <= 1
        assert self.store.check_records("0", 1000).findings == []
        totals = self.store.totals()
        assert totals is None or totals.missing == 0


def test_replacing_jobs_never_lose_one_another(new_store):
    """Whichever of them are confirmed, withdrawn, cancelled, started or retried, in whatever order."""
    Walk.open_store = lambda: new_store(is_fresh=True)

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
