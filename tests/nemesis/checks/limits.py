"""Limits and locks hold over all workers: so many run at a time, and no more."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.nemesis import tasks
from tests.nemesis.checks.registry import Finding, check
from tests.nemesis.evidence import Evidence
from tests.nemesis.executions import Execution
from tests.nemesis.witness import Witness


@dataclass(frozen=True)
class Crowd:
    """The most executions at a time."""

    count: int
    at: float
    job_ids: tuple[str, ...]


@check
def limit_exceeded(evidence: Evidence) -> Iterator[Finding]:
    """Of a task with a limit, no more run at a time."""
    crowd = most_at_once(proven(_of_task(evidence, "limited"), evidence.witness))
    if crowd.count > tasks.CONCURRENCY:
        yield Finding(crowd.job_ids[0], f"{crowd.count} at {crowd.at}: {crowd.job_ids}")


@check
def unique_overlap(evidence: Evidence) -> Iterator[Finding]:
    """Of a key, one job runs at a time, while its lock lasts."""
    by_key: dict[str, list[Execution]] = defaultdict(list)
    runs = _of_task(evidence, "unique")
    for key, job_ids in evidence.book.by_key.items():
        by_key[key] += [
            each for each in runs if each.job_id in job_ids and _has_lock(evidence, each)
        ]
    for key, its in by_key.items():
        crowd = most_at_once(proven(its, evidence.witness))
        if crowd.count > 1:
            # One that was forgotten had no lock any more.
            about = next(filter(evidence.may_be_forgotten, crowd.job_ids), crowd.job_ids[0])
            yield Finding(about, f"{crowd.count} of {key} at {crowd.at}: {crowd.job_ids}")


def _has_lock(evidence: Evidence, run: Execution) -> bool:
    """Return whether an execution began while its job's lock kept others out."""
    asked = evidence.book.submissions.get(run.job_id)
    return asked is None or run.began_at < asked.asked_at + tasks.UNIQUE_FOR_S


def _of_task(evidence: Evidence, task: str) -> list[Execution]:
    return [each for each in evidence.executions if each.task == task]


def logged_limit(evidence: Evidence) -> tuple[int, int]:
    """Return the most executions of the limited task at a time: those that count, and all."""
    runs = _of_task(evidence, "limited")
    witness = evidence.witness
    return most_at_once(proven(runs, witness)).count, most_at_once(_whole(runs, witness)).count


#: Who, from when, until when.
Span = tuple[str, float, float]


def _whole(runs: Iterable[Execution], witness: Witness) -> list[Span]:
    """Return each execution until its end; of one whose process died, until it was seen dead."""
    return [(each.job_id, each.began_at, _end(each, witness, is_proven=False)) for each in runs]


def proven(runs: Iterable[Execution], witness: Witness) -> list[Span]:
    """Return each execution as long as it certainly ran, and its process certainly had its lease."""
    spans = []
    for each in runs:
        end = _end(each, witness, is_proven=True)
        lost_at = witness.lease_lost_at(each.pid, each.began_at, end)
        spans.append((each.job_id, each.began_at, end if lost_at is None else min(end, lost_at)))
    return spans


def _end(run: Execution, witness: Witness, *, is_proven: bool) -> float:
    if run.ended_at is not None:
        return run.ended_at
    death = witness.deaths.get(run.pid)
    if death is None:
        return math.inf  # it runs yet
    return max(run.began_at, death.last_seen_at if is_proven else death.seen_dead_at)


def most_at_once(spans: Iterable[Span]) -> Crowd:
    """Return the most spans that overlap; one that ends as another begins does not."""
    edges = []
    for job_id, began_at, ended_at in spans:
        if began_at < ended_at:
            edges += [(began_at, 1, job_id), (ended_at, -1, job_id)]
    most, present = Crowd(0, 0.0, ()), list[str]()
    for at, step, job_id in sorted(edges):
        if step < 0:
            present.remove(job_id)
            continue
        present.append(job_id)
        if len(present) > most.count:
            most = Crowd(len(present), at, tuple(present))
    return most
