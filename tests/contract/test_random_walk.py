"""A random walk of operations against a small model: states, attempts, counts and the outbox agree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from taskyard.store import JobStore
from taskyard.store.attempts import Claim, Outcome
from taskyard.store.jobs import Created
from tests.contract.jobs import HOUR_MS, LATER_MS, new_job, outbox

IDS = [f"job-{number}" for number in range(6)]
OWNERS = ["w1", "w2", "w3"]
RECLAIMERS = ["r1", "r2"]
QUEUES = ["a", "b|c"]
WAITING = ("scheduled", "retrying")

ids = st.sampled_from(IDS)
id_lists = st.lists(ids, max_size=4)
owners = st.sampled_from(OWNERS)
queues = st.sampled_from(QUEUES)
ttls = st.sampled_from([0, HOUR_MS])


@dataclass
class Model:
    """What a job should be by now."""

    state: str
    queue: str
    attempt: int = 0
    token: int = 0
    owner: str = ""
    #: The claim call that it was granted by, and whether its owner has heard of that.
    call: int = 0
    is_heard: bool = True
    crashes: int = 0
    is_due: bool = False
    is_promised_twice: bool = False
    has_begun: bool = False
    #: The attempt of its latest message that was not acknowledged; the first is noted once it is claimed.
    out: int = 0
    is_published: bool = False
    cancel_requested: bool = False
    is_prunable: bool = False


class Walk(RuleBasedStateMachine):
    """The store and the model take each step together."""

    #: Set by the test: opens an empty store.
    open_store: ClassVar[Callable[[], JobStore]]

    def __init__(self) -> None:
        super().__init__()
        self.store: JobStore = type(self).open_store()
        self.jobs: dict[str, Model] = {}
        #: Jobs that were withdrawn while a message of them was on its way.
        self.withdrawn: set[str] = set()
        self.dead: set[str] = set()
        self.stale: list[tuple[str, int]] = []
        #: The ids of the workers by their places: who comes after one that ended has another.
        self.workers = {place: place for place in OWNERS}
        self.calls = dict.fromkeys(OWNERS, 0)
        for owner in OWNERS:
            self._beat(owner)

    def _beat(self, owner: str):
        held = {i: job for i, job in self.jobs.items() if job.owner == owner}
        told = [(i, job.token) for i, job in held.items() if job.is_heard]
        beat = self.store.heartbeat(owner, {}, HOUR_MS, told, over=self.calls[owner])
        unheard = {i for i, job in held.items() if not job.is_heard and job.call}
        assert set(beat.given_back) == unheard
        for job in (held[i] for i in unheard):
            self._given_back(job)
        return beat

    def _given_back(self, job: Model) -> None:
        job.owner, job.attempt = "", job.attempt - 1
        if job.cancel_requested:
            job.state, job.is_prunable = "cancelled", False
        else:
            job.state, job.is_due = "scheduled", True

    @rule(chosen=id_lists, queue=queues, is_later=st.booleans())
    def create(self, chosen, queue, is_later):
        """Record jobs, some of them known."""
        delay_ms = HOUR_MS if is_later else None
        answers = self.store.create([new_job(i, queue=queue, delay_ms=delay_ms) for i in chosen])
        for job_id, answer in zip(chosen, answers, strict=True):
            assert isinstance(answer, Created)
            assert answer.is_new == (job_id not in self.jobs)
            if answer.is_new:
                state = "scheduled" if is_later else "pending"
                self.jobs[job_id] = Model(state, queue, out=int(job_id in self.withdrawn))
                self.withdrawn.discard(job_id)
            else:
                self.jobs[job_id].is_promised_twice = True
            assert answer.state == self.jobs[job_id].state

    @rule(chosen=id_lists, published=id_lists)
    def withdraw(self, chosen, published):
        """Forget jobs that never started and that nobody else was promised."""
        stay = self.store.withdraw(chosen, published=published)
        for job_id in chosen:
            job = self.jobs.get(job_id)
            is_kept = job and (
                job.has_begun or job.is_promised_twice or job.state not in ("pending", "scheduled")
            )
            assert (job_id in stay) == bool(is_kept)
            if is_kept:
                continue
            if job_id in published or (job and job.out):
                self.withdrawn.add(job_id)
            self.jobs.pop(job_id, None)

    @rule(chosen=id_lists)
    def mark_published(self, chosen):
        """Empty the outbox."""
        self.store.mark_published([(job_id, LATER_MS) for job_id in chosen])
        for job_id in set(chosen) & set(self.jobs):
            self.jobs[job_id].is_published = True

    @rule(
        place=owners,
        chosen=id_lists,
        queue=queues,
        off_by=st.sampled_from([0, 0, 0, 0, -1, 1]),
        kind=st.sampled_from(["run", "run", "run", "park", "expire"]),
        is_heard=st.booleans(),
    )
    def claim(self, place, chosen, queue, off_by, kind, is_heard):
        """Claim the next attempt of jobs, or another one; the answer may be lost, or the worker gone."""
        owner = self.workers[place]
        extra: dict[str, Any] = {
            "run": {},
            "park": {"park_delay_ms": HOUR_MS, "park_ttl_ms": HOUR_MS},
            "expire": {"expires_ms": -1},
        }[kind]
        wanted = [self._next_attempt(job_id) + off_by for job_id in chosen]
        claims = [Claim(i, n, queue, **extra) for i, n in zip(chosen, wanted, strict=True)]
        self.calls[owner] += 1
        verdicts = self.store.claim(owner, owner, claims, call=self.calls[owner])
        if owner in self.dead:
            assert [each.kind for each in verdicts] == ["gone"] * len(claims)
            self._replace(place)
            return
        for job_id, attempt, verdict in zip(chosen, wanted, verdicts, strict=True):
            assert verdict.kind == self._judge(job_id, attempt, owner, queue, kind, verdict.token)
            if verdict.kind == "run":
                job = self.jobs[job_id]
                job.is_heard = is_heard or (job.call > 0 and job.is_heard)
                job.call = self.calls[owner]

    def _replace(self, place: str) -> None:
        owner = self.workers[place] = f"{self.workers[place]}'"
        self.calls[owner] = 0
        self._beat(owner)

    def _next_attempt(self, job_id):
        job = self.jobs.get(job_id)
        return 1 if job is None else job.attempt + (job.state != "running")

    def _judge(self, job_id, attempt, owner, queue, kind, token):
        job = self.jobs.get(job_id)
        if job is None:
            return "cancelled" if job_id in self.withdrawn else "unknown"
        if job.state == "running" and attempt == job.attempt and job.owner == owner:
            assert token == job.token
            return "run"
        if job.state != "pending" or attempt != job.attempt + 1:
            job.out = 0 if attempt >= job.out else job.out
            is_leased = job.state == "running" and attempt == job.attempt
            return (
                "leased" if is_leased else "cancelled" if job.state == "cancelled" else "duplicate"
            )
        job.is_published, job.out = False, 0
        if kind == "park":
            job.state, job.is_due = "scheduled", False
            return "parked"
        job.state, job.attempt, job.owner, job.token = "running", attempt, owner, token
        job.queue, job.call, job.has_begun, job.out = queue, 0, True, attempt
        return "run"

    @rule(
        job_id=ids,
        kind=st.sampled_from(["completed", "failed", "cancelled", "retrying", "released"]),
        is_due=st.booleans(),
        is_crash=st.booleans(),
        ttl_ms=ttls,
        times=st.integers(1, 2),
    )
    def settle(self, job_id, kind, is_due, is_crash, ttl_ms, times):
        """End an attempt, perhaps twice."""
        job = self.jobs.get(job_id)
        if job is None or job.state != "running":
            return
        outcome = Outcome(
            job_id,
            job.token,
            kind,
            delay_ms=0 if is_due else HOUR_MS,
            ttl_ms=ttl_ms,
            is_crash=is_crash,
        )
        for _ in range(times):
            assert self.store.settle([outcome]) == [True]
        self.stale.append((job_id, job.token - 1))
        if kind != "released" and job.owner not in RECLAIMERS:
            job.out = 0
        job.owner = ""
        job.crashes += is_crash
        is_ended_by_request = job.cancel_requested and kind in ("retrying", "released")
        if is_ended_by_request:
            job.state, job.is_prunable = "cancelled", False
        elif kind == "released":
            job.state, job.attempt, job.is_published = "pending", job.attempt - 1, False
        elif kind == "retrying":
            job.state, job.is_due = "retrying", is_due
        else:
            job.state = kind
            job.is_prunable = ttl_ms == 0 and (not job.out or kind == "failed")

    @rule(index=st.integers(0, 1000))
    def settle_stale(self, index):
        """An old token changes nothing."""
        if self.stale:
            job_id, token = self.stale[index % len(self.stale)]
            assert self.store.settle([Outcome(job_id, token, "completed")]) == [False]
            assert not self.store.progress(job_id, token, '{"done":1}')

    @rule(chosen=id_lists, ttl_ms=ttls)
    def cancel(self, chosen, ttl_ms):
        """Cancel jobs in whatever state."""
        for job_id, answer in zip(chosen, self.store.cancel(chosen, ttl_ms), strict=True):
            job = self.jobs.get(job_id)
            if job is None:
                assert answer.verdict == "unknown"
            elif job.state == "running":
                assert answer.verdict == "requested"
                job.cancel_requested = True
            elif job.state in ("pending", "scheduled", "retrying"):
                assert answer.verdict == "cancelled"
                # A message that is on its way must find its record.
                if job.state == "pending":
                    job.out = job.attempt + 1
                job.is_prunable = ttl_ms == 0 and not job.out
                job.state = "cancelled"
            else:
                assert ("too_late", job.state) == (answer.verdict, answer.state)

    @rule(limit=st.integers(1, 5))
    def take_due(self, limit):
        """Hand out what is due."""
        due = {i for i, job in self.jobs.items() if job.is_due and job.state in WAITING}
        ready, _ = self.store.take_due(limit)
        assert len(ready) == min(limit, len(due))
        for each in ready:
            job = self.jobs[each.id]
            assert each.id in due
            assert (each.queue, each.attempt) == (job.queue, job.attempt + 1)
            job.state, job.is_due, job.is_published = "pending", False, False
            job.out = each.attempt

    @rule(owner=st.sampled_from(OWNERS + RECLAIMERS), is_crash=st.booleans())
    def end(self, owner, is_crash):
        """A worker or a reclaimer is gone."""
        owner = self.workers.get(owner, owner)
        self.store.end_lease(owner, "signal 9" if is_crash else None)
        self.dead.add(owner)

    @rule(owner=st.sampled_from(RECLAIMERS), limit=st.integers(1, 5))
    def lost(self, owner, limit):
        """Hand on what the dead held."""
        held = {
            i for i, job in self.jobs.items() if job.state == "running" and job.owner in self.dead
        }
        answers = self.store.lost(owner, HOUR_MS, limit)
        assert len(answers) == min(limit, len(held))
        assert len({each.id for each in answers}) == len(answers)
        for each in answers:
            job = self.jobs[each.id]
            assert each.id in held
            assert (job.attempt, job.crashes, job.queue) == (each.attempt, each.crashes, each.queue)
            self.stale.append((each.id, job.token))
            job.owner, job.token, job.call = owner, each.token, 0
        if answers:
            self.dead.discard(owner)
            mine = [
                i for i in held if self.jobs[i].owner == owner and i not in {a.id for a in answers}
            ]
            assert not mine or len(answers) == limit

    @rule(place=owners)
    def heartbeat(self, place):
        """A living worker hears what it is to cancel; of one that is gone a heartbeat changes nothing."""
        owner = self.workers[place]
        if owner in self.dead:
            self.store.heartbeat(owner, {}, HOUR_MS, [], over=self.calls[owner])
            return
        beat = self._beat(owner)
        asked = {i for i, j in self.jobs.items() if j.owner == owner and j.cancel_requested}
        assert (set(beat.cancelled), beat.lost) == (asked, [])

    @rule(limit=st.integers(1, 10))
    def prune(self, limit):
        """Remove what has been kept long enough."""
        gone = [i for i, job in self.jobs.items() if job.is_prunable]
        assert self.store.prune(limit) == min(limit, len(gone))
        for job_id, job in zip(IDS, self.store.get(IDS), strict=True):
            if job is None and job_id in gone:
                del self.jobs[job_id]

    @invariant()
    def agrees(self):
        """The store tells what the model expects."""
        for job_id, job in zip(IDS, self.store.get(IDS), strict=True):
            expected = self.jobs.get(job_id)
            assert (job is None) == (expected is None), job_id
            if job and expected:
                assert (expected.state, expected.attempt, expected.queue) == (
                    job.state,
                    job.attempt,
                    job.queue,
                )
        told = {(row.queue, s): n for row in self.store.counts() for s, n in row.states.items()}
        modelled: dict[tuple[str, str], int] = {}
        for known in self.jobs.values():
            place = known.queue, known.state
            modelled[place] = modelled.get(place, 0) + 1
        assert modelled == told
        unpublished = {
            i for i, job in self.jobs.items() if job.state == "pending" and not job.is_published
        }
        assert outbox(self.store) == unpublished
        for job_id in unpublished:
            self.jobs[job_id].out = self.jobs[job_id].attempt + 1
        assert self.store.check_records("0", 100).findings == []
        totals = self.store.totals()
        assert totals is None or totals.missing == 0


def test_states_and_counts_never_drift(new_store):
    """Whatever is done in whatever order, the store and the model say the same."""
    Walk.open_store = lambda: new_store(is_fresh=True)

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
