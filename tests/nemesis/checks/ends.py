"""What was accepted ends, once, as it should, and what was refused does not haunt."""

from collections.abc import Iterator

from tests.nemesis.checks.registry import Finding, check
from tests.nemesis.evidence import TERMINAL, Document, Evidence

MAX_CRASHES = 3


@check
def nothing_accepted(evidence: Evidence) -> Iterator[Finding]:
    """A round in which nothing was accepted, or nothing ran, proves nothing."""
    if not evidence.book.accepted():
        yield Finding("", "no job was accepted in this round")
    if not any(each.returned for each in evidence.executions):
        yield Finding("", "no job ran to its end in this round")


@check
def lost(evidence: Evidence) -> Iterator[Finding]:
    """An accepted job has a record; one that is a message only may be thrown away before it has one."""
    for each in evidence.book.accepted():
        may_be_purged = evidence.witness.may_be_purged(each.door, each.asked_at)
        is_purged = may_be_purged and not evidence.runs(each.job_id)
        if evidence.documents.get(each.job_id) is None and not is_purged:
            yield Finding(each.job_id, f"accepted at the door {each.door}, and there is no record")


@check
def unlisted(evidence: Evidence) -> Iterator[Finding]:
    """A job that has a record is in the list of jobs."""
    for job_id in sorted(evidence.unlisted):
        yield Finding(job_id, "the API shows it, and its list does not")


@check
def stuck(evidence: Evidence) -> Iterator[Finding]:
    """An accepted job ends."""
    for each in evidence.book.accepted():
        document = evidence.documents.get(each.job_id)
        if document is not None and document["state"] not in TERMINAL:
            yield Finding(each.job_id, f"still {document['state']}")


@check
def refused_but_open(evidence: Evidence) -> Iterator[Finding]:
    """A job whose submission failed may have been kept, and then ends as any other."""
    for job_id, document in _unaccepted(evidence):
        if document is not None and document["state"] not in TERMINAL:
            yield Finding(job_id, f"not accepted, and still {document['state']}")


@check
def ran_without_record(evidence: Evidence) -> Iterator[Finding]:
    """What runs has a record, even if nobody was promised anything."""
    for job_id, document in _unaccepted(evidence):
        if document is None and evidence.runs(job_id):
            yield Finding(job_id, f"not accepted, and ran {len(evidence.runs(job_id))} times")


@check
def refused_and_yet_kept(evidence: Evidence) -> Iterator[Finding]:
    """A job that was refused as wrong, or that RabbitMQ gave back, is not kept and does not run."""
    for job_id, document in _unaccepted(evidence):
        is_final = evidence.book.submissions[job_id].is_final
        if is_final and (document is not None or evidence.runs(job_id)):
            yield Finding(job_id, evidence.book.submissions[job_id].detail)


def _unaccepted(evidence: Evidence) -> Iterator[tuple[str, Document | None]]:
    for job_id, each in evidence.book.submissions.items():
        if each.verdict != "accepted":
            yield job_id, evidence.documents.get(job_id)


@check
def failed_unexpected(evidence: Evidence) -> Iterator[Finding]:
    """Only a task that raises each time fails; or a job whose processes died so often that it may be why."""
    for job_id, document in _ended_as(evidence, "failed"):
        reason = (document["error"] or {}).get("reason")
        is_crash_loop = reason == "crash_loop" and _deaths(evidence, job_id) >= MAX_CRASHES
        if evidence.book.submissions[job_id].task != "broken" and not is_crash_loop:
            yield Finding(job_id, f"failed with reason {reason}")


def _deaths(evidence: Evidence, job_id: str) -> int:
    """Return how many executions of a job have seen their process die."""
    deaths = evidence.witness.deaths
    return sum(each.ended_at is None and each.pid in deaths for each in evidence.runs(job_id))


@check
def broken_completed(evidence: Evidence) -> Iterator[Finding]:
    """A task that raises each time never completes."""
    for job_id, _ in _ended_as(evidence, "completed"):
        if evidence.book.submissions[job_id].task == "broken":
            yield Finding(job_id, "completed, and its task raises each time")


@check
def expired_unasked(evidence: Evidence) -> Iterator[Finding]:
    """No job here has a time to expire at."""
    for job_id, _ in _ended_as(evidence, "expired"):
        yield Finding(job_id, "expired, and nobody asked for that")


@check
def cancelled_unasked(evidence: Evidence) -> Iterator[Finding]:
    """A job is cancelled only if somebody asks for it."""
    for job_id, _ in _ended_as(evidence, "cancelled"):
        if job_id not in evidence.book.doomed:
            yield Finding(job_id, "cancelled, and nobody asked for that")


@check
def cancel_undone(evidence: Evidence) -> Iterator[Finding]:
    """What was said to be cancelled stays so."""
    for each in evidence.book.cancels:
        document = evidence.documents.get(each.job_id)
        if each.status == 200 and document is not None and document["state"] != "cancelled":
            yield Finding(each.job_id, f"cancelled by an answer of 200, and {document['state']}")


def _ended_as(evidence: Evidence, state: str) -> Iterator[tuple[str, Document]]:
    for job_id, document in evidence.ended().items():
        if document["state"] == state:
            yield job_id, document


@check
def end_changed(evidence: Evidence) -> Iterator[Finding]:
    """A last state never changes by itself, and neither do the attempts that led to it."""
    for job_id, again in evidence.read_again.items():
        before = evidence.documents[job_id]
        if before is not None and _gist(again) != _gist(before):
            yield Finding(job_id, f"was {_gist(before)}, and is {_gist(again)}")


def _gist(document: Document | None) -> tuple[object, ...]:
    if document is None:
        return ("gone",)
    return document["state"], document["finished_at"], len(document["attempts"])
