"""Where a job's time went: its life cut into stretches that follow one another without a gap."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import msgspec

from taskyard.job import TERMINAL, WAITING, State, rfc3339
from taskyard.store.explaining import Interval, JobFacts, Run

Phase = Literal[
    "waiting",
    "late",
    "queued",
    "limited",
    "paused",
    "parked",
    "running",
    "handed_back",
    "lost",
    "retrying",
    "omitted",
    "ended",
]
PHASES: tuple[Phase, ...] = get_args(Phase)

#: So many stretches of a life are shown, the latest; the sums are of all.
SHOWN = 200

MEANING: dict[Phase, str] = {
    "waiting": "it waited for the time that it was to run at",
    "late": "its time had come, and no scheduler had sent it to its queue yet",
    "queued": "it was ready and waited for its turn and a free slot",
    "limited": "a limit of its task held it back",
    "paused": "its task or its queue was paused",
    "parked": "no worker of its queue that looked at it knew its task",
    "running": "a worker ran it",
    "handed_back": "a worker had it and handed it back without using up the attempt",
    "lost": "its worker was gone, and the lease or the scheduler had not brought it back yet",
    "retrying": "it waited for the next attempt",
    "omitted": "attempts of it ran, and waits for the next passed, that are counted and no longer kept",
    "ended": "it had ended, until somebody let it run again",
}


class Stretch(msgspec.Struct, frozen=True):
    """A part of a job's life, in milliseconds since 1970; `attempt` is that which ran, or 0."""

    phase: Phase
    from_ms: int
    to_ms: int
    attempt: int = 0


def timeline(facts: JobFacts) -> list[Stretch]:
    """Return the whole of a job's life until its end or now; durations sum to all of it.

    The last of a life that goes on is what it does now, also if that has only just begun.
    """
    begin, end = facts.job.created_at, _end(facts)
    cut: list[Stretch] = []
    stretches = sorted(_stretches(facts, end), key=lambda each: each.from_ms)
    pauses = sorted(facts.queue_pauses)
    for stretch in _with_pauses(_cut(stretches, begin, end), pauses):
        if cut and (cut[-1].phase, cut[-1].attempt) == (stretch.phase, stretch.attempt):
            cut[-1] = msgspec.structs.replace(cut[-1], to_ms=stretch.to_ms)
        else:
            cut.append(stretch)
    now = _now(facts)
    if now is not None and (not cut or cut[-1].phase != now):
        attempt = facts.job.attempt if now == "running" else 0
        cut.append(Stretch(now, end, end, attempt))
    return cut


def _now(facts: JobFacts) -> Phase | None:
    """Return the phase that a job is in, or None if it has ended."""
    job = facts.job
    if facts.held_at is not None:
        return "paused" if job.reason == "paused" else "limited"
    if facts.parked_at is not None:
        return "parked"
    if job.state is State.PENDING and facts.queue_pause is not None:
        return "paused"
    if job.state in WAITING and job.run_at is not None and job.run_at < facts.now_ms:
        return "queued" if job.reason == "suspect" else "late"
    return _NOW.get(job.state)


_NOW: dict[State, Phase] = {
    State.SCHEDULED: "waiting",
    State.RETRYING: "retrying",
    State.PENDING: "queued",
    State.RUNNING: "running",
}


def times(stretches: Sequence[Stretch]) -> dict[str, float]:
    """Return the seconds of each phase, and of all of them as `total_s`."""
    spent_ms = dict.fromkeys(PHASES, 0)
    for each in stretches:
        spent_ms[each.phase] += each.to_ms - each.from_ms
    total_ms = sum(spent_ms.values())
    return {"total_s": total_ms / 1000} | {f"{p}_s": ms / 1000 for p, ms in spent_ms.items()}


def documents(facts: JobFacts, stretches: Sequence[Stretch]) -> list[dict[str, Any]]:
    """Return the latest stretches as they are shown; of the one that goes on, `to` is null."""
    is_over = facts.job.state in TERMINAL
    last = len(stretches) - 1
    return [
        {
            "phase": each.phase,
            "attempt": each.attempt or None,
            "from": rfc3339(each.from_ms),
            "to": rfc3339(each.to_ms) if is_over or n < last else None,
            "duration_s": (each.to_ms - each.from_ms) / 1000,
            "meaning": MEANING[each.phase],
        }
        for n, each in enumerate(stretches)
    ][-SHOWN:]


def _end(facts: JobFacts) -> int:
    job = facts.job
    is_over = job.state in TERMINAL and job.finished_at is not None
    return max(job.created_at, job.finished_at if is_over and job.finished_at else facts.now_ms)


def _stretches(facts: JobFacts, end: int) -> Iterator[Stretch]:
    """Give what the record tells; what lies between was spent in the queue."""
    job = facts.job
    if facts.first_run_at is not None:
        yield Stretch("waiting", job.created_at, min(facts.first_run_at, _first_start(facts, end)))
    for number, run in enumerate(facts.runs):
        yield from _of_run(run)
        next_start = _start_after(facts, number, end)
        if run.retry_at is not None:
            yield Stretch("retrying", run.finished_at, _retry_end(facts, number, next_start))
        if number + 1 < len(facts.runs) and facts.runs[number + 1].number > run.number + 1:
            yield Stretch("omitted", run.finished_at, next_start)
    for each in facts.intervals:
        yield _of_interval(each)
    yield from _going_on(facts, end)


def _of_run(run: Run) -> Iterator[Stretch]:
    known_to = run.finished_at
    if run.ran_ms is not None:
        known_to = min(known_to, run.started_at + run.ran_ms)
        yield Stretch("lost", known_to, run.finished_at)
    yield Stretch("running", run.started_at, known_to, run.number)


def _of_interval(interval: Interval) -> Stretch:
    return Stretch(interval.kind, interval.from_ms, interval.to_ms)


def _going_on(facts: JobFacts, end: int) -> Iterator[Stretch]:
    job = facts.job
    if job.state is State.RUNNING and job.started_at is not None:
        yield Stretch("running", job.started_at, end, job.attempt)
    now = _now(facts)
    if now == "late":
        yield Stretch(now, job.run_at or end, end)
    elif now in ("paused", "limited", "parked"):
        yield Stretch(now, facts.held_at or facts.parked_at or end, end)


def _first_start(facts: JobFacts, end: int) -> int:
    return _start_after(facts, -1, end)


def _start_after(facts: JobFacts, number: int, end: int) -> int:
    """Return when the run after that of this index started, or the end."""
    if number + 1 < len(facts.runs):
        return facts.runs[number + 1].started_at
    job = facts.job
    is_running = job.state is State.RUNNING and job.started_at is not None
    return job.started_at if is_running and job.started_at is not None else end


def _retry_end(facts: JobFacts, number: int, next_start: int) -> int:
    """Return until when a retry waited: its time may have been changed meanwhile."""
    job = facts.job
    retry_at = facts.runs[number].retry_at or 0
    if job.state is State.RETRYING and number == len(facts.runs) - 1:
        retry_at = job.run_at or retry_at
    return min(retry_at, next_start)


#: Of two that overlap the first is shown, such as of a job that a limit holds back while it is parked.
_RANK: tuple[Phase, ...] = (
    "running",
    "lost",
    "handed_back",
    "ended",
    "paused",
    "limited",
    "parked",
    "retrying",
    "waiting",
    "late",
    "omitted",
)


def _cut(stretches: Sequence[Stretch], begin: int, end: int) -> Iterator[Stretch]:
    """Cut a life at every edge of these stretches, which are in order.

    An attempt that began and ended in the same millisecond is shown too: every attempt has its stretch.
    """
    inside = [
        msgspec.structs.replace(each, from_ms=max(each.from_ms, begin), to_ms=min(each.to_ms, end))
        for each in stretches
    ]
    marks = sorted({begin, end, *(mark for s in inside for mark in (s.from_ms, s.to_ms))})
    coming = deque(each for each in inside if each.from_ms < each.to_ms)
    instant_runs = deque(s for s in inside if s.phase == "running" and s.from_ms == s.to_ms)
    over: list[Stretch] = []
    for from_ms, to_ms in pairwise(mark for mark in marks if begin <= mark <= end):
        while instant_runs and instant_runs[0].from_ms <= from_ms:
            yield instant_runs.popleft()
        while coming and coming[0].from_ms <= from_ms:
            over.append(coming.popleft())
        over = [each for each in over if each.to_ms > from_ms]
        chosen = min(over, key=lambda each: _RANK.index(each.phase), default=_QUEUED)
        yield Stretch(chosen.phase, from_ms, to_ms, chosen.attempt)
    yield from instant_runs


_QUEUED = Stretch("queued", 0, 0)


def _with_pauses(
    stretches: Iterator[Stretch], pauses: Sequence[tuple[int, int]]
) -> Iterator[Stretch]:
    """Cut out of what was spent in the queue when that was paused; pauses are in order and do not overlap."""
    for stretch in stretches:
        at = stretch.from_ms
        if stretch.phase == "queued":
            for from_ms, to_ms in pauses:
                start, stop = max(from_ms, at), min(to_ms, stretch.to_ms)
                if start >= stop:
                    continue
                if at < start:
                    yield Stretch("queued", at, start)
                yield Stretch("paused", start, stop)
                at = stop
        if at < stretch.to_ms or stretch.from_ms == stretch.to_ms:
            yield msgspec.structs.replace(stretch, from_ms=at)
