"""What is said to have run has run; and a job runs again only if its process may have lost it.

The order of evidence: what tasks have told of themselves, then what was seen of processes, then the record.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from tests.nemesis.checks.registry import Finding, check
from tests.nemesis.evidence import Document, Evidence
from tests.nemesis.executions import Execution

#: Between the clocks' readings of one moment, at most: they are of one machine, and rounded. Seconds.
ROUNDING_S = 0.01


@check
def completed_unrun(evidence: Evidence) -> Iterator[Finding]:
    """A completed job has returned."""
    for job_id, document in evidence.ended().items():
        if document["state"] == "completed" and not _returned(evidence, job_id):
            yield Finding(job_id, "completed, and never came to its end")


@check
def completed_by_another_attempt(evidence: Evidence) -> Iterator[Finding]:
    """The attempt that completed a job, by its record the last, is one that has returned."""
    for job_id, document in evidence.ended().items():
        if document["state"] != "completed":
            continue
        last = document["attempts"][-1] if document["attempts"] else None
        returned = {each.attempt for each in _returned(evidence, job_id)}
        if last is None or last["outcome"] != "completed" or last["number"] not in returned:
            yield Finding(job_id, f"completed by {last}; attempts that returned: {returned}")


@check
def settled_twice(evidence: Evidence) -> Iterator[Finding]:
    """One outcome of a job is accepted as its completion."""
    for job_id, document in evidence.ended().items():
        outcomes = Counter(each["outcome"] for each in document["attempts"])
        if outcomes["completed"] > 1:
            yield Finding(job_id, f"attempts: {dict(outcomes)}")


@check
def same_attempt_twice(evidence: Evidence) -> Iterator[Finding]:
    """An attempt starts once."""
    for job_id in evidence.documents:
        starts = Counter(each.attempt for each in evidence.runs(job_id))
        if any(count > 1 for count in starts.values()):
            yield Finding(job_id, f"starts of each attempt: {dict(starts)}")


@check
def run_twice_unexplained(evidence: Evidence) -> Iterator[Finding]:
    """Of the executions that came to their end, all but one belong to attempts that are told as lost."""
    for job_id, document in evidence.ended().items():
        outcomes = {each["number"]: each["outcome"] for each in document["attempts"]}
        kept = [
            each for each in _returned(evidence, job_id) if outcomes.get(each.attempt) != "lost"
        ]
        if len(kept) > 1:
            told = [(each.attempt, outcomes.get(each.attempt)) for each in kept]
            yield Finding(job_id, f"attempts that came to their end, and their outcomes: {told}")


@check
def lost_unexplained(evidence: Evidence) -> Iterator[Finding]:
    """An attempt that ran is lost only if its process died, or stood still or was cut off for a lease."""
    for job_id, document in evidence.documents.items():
        for attempt in document["attempts"] if document is not None else []:
            if attempt["outcome"] == "lost" and not _is_explained(evidence, job_id, attempt):
                yield Finding(job_id, f"attempt {attempt['number']} was lost; its process went on")


def _is_explained(evidence: Evidence, job_id: str, attempt: Document) -> bool:
    """Return whether the process of each execution of the attempt may have lost it; none: nobody ran it."""
    lost_at = datetime.fromisoformat(attempt["finished_at"]).timestamp()
    runs = [each for each in evidence.runs(job_id) if each.attempt == attempt["number"]]
    witness = evidence.witness
    return all(witness.explains_loss(each.pid, each.began_at, lost_at) for each in runs)


@check
def early(evidence: Evidence) -> Iterator[Finding]:
    """No job runs before its time."""
    for job_id, asked in evidence.book.submissions.items():
        first_at = min((each.began_at for each in evidence.runs(job_id)), default=None)
        if first_at is None or asked.delay_s is None:
            continue
        early_s = asked.asked_at + asked.delay_s - first_at
        if early_s > ROUNDING_S:
            yield Finding(job_id, f"asked for in {asked.delay_s} s, and ran {early_s:.3f} s early")


@check
def run_after_cancel(evidence: Evidence) -> Iterator[Finding]:
    """What was said to be cancelled does not start any more."""
    for each in evidence.book.cancels:
        late = [run for run in evidence.runs(each.job_id) if run.began_at > each.answered_at]
        if each.status == 200 and late:
            yield Finding(each.job_id, f"cancelled by an answer of 200, and started: {late[0]}")


def _returned(evidence: Evidence, job_id: str) -> list[Execution]:
    return [each for each in evidence.runs(job_id) if each.returned]
