"""The system's own books agree with what happened: events, replies, dead letters, verification and gauge."""

from collections.abc import Iterator

from tests.nemesis.checks.registry import Finding, check
from tests.nemesis.evidence import Evidence


@check
def two_end_events(evidence: Evidence) -> Iterator[Finding]:
    """The stream of events tells the end of a job once."""
    for job_id in evidence.documents:
        count = evidence.book.ends_told[job_id]
        if count > 1:
            yield Finding(job_id, f"{count} ends were told")


@check
def no_ended_reply(evidence: Evidence) -> Iterator[Finding]:
    """Who submitted over AMQP and asked for it is told the end; at least once, as the protocol says."""
    for each in evidence.book.accepted():
        has_record = evidence.documents.get(each.job_id) is not None
        if each.door == "amqp" and has_record and not evidence.book.ends_replied[each.job_id]:
            yield Finding(each.job_id, "no reply told its end")


@check
def failed_without_letter(evidence: Evidence) -> Iterator[Finding]:
    """A failed job is among the dead letters."""
    for job_id in sorted(_failed(evidence) - evidence.dead_letters):
        yield Finding(job_id, "failed, and not among the dead letters")


@check
def letter_of_another_end(evidence: Evidence) -> Iterator[Finding]:
    """A job among the dead letters has failed."""
    own = evidence.dead_letters & evidence.documents.keys()
    for job_id in sorted(own - _failed(evidence)):
        document = evidence.documents[job_id]
        state = "has no record" if document is None else f"is {document['state']}"
        yield Finding(job_id, f"among the dead letters, and {state}")


def _failed(evidence: Evidence) -> set[str]:
    return {i for i, document in evidence.ended().items() if document["state"] == "failed"}


@check
def letters_out_of_step(evidence: Evidence) -> Iterator[Finding]:
    """As many messages are in the queues of dead letters as the API lists; fewer if they were thrown away.

    More, if a job failed again because its failure was forgotten: its letters are one in the list.
    """
    listed, queued = len(evidence.dead_letters), evidence.dead_messages
    excuses = list[object](evidence.witness.forgotten)
    if listed > queued:
        excuses += evidence.witness.dead_purges
    if listed != queued and not excuses:
        yield Finding(
            "", f"{listed} dead letters are listed, and {queued} messages in their queues"
        )


@check
def consistency(evidence: Evidence) -> Iterator[Finding]:
    """The verification accounts for every job."""
    report = evidence.consistency
    if report is not None and not report.is_fine:
        yield from (Finding(each.id, each.problem) for each in report.findings)
        yield from (Finding("", f"{each.queue} lacks {each.messages}") for each in report.missing)
        yield Finding("", f"all in all: {report.totals}")


@check
def unaccounted(evidence: Evidence) -> Iterator[Finding]:
    """The gauge of jobs that are not accounted for comes to rest at none."""
    if evidence.unaccounted:
        yield Finding("", f"the gauge is at {evidence.unaccounted:g}")


@check
def surprises(evidence: Evidence) -> Iterator[Finding]:
    """A good request is accepted, or refused because a server is away, and nothing else."""
    for what in evidence.book.surprises:
        yield Finding("", what)


@check
def mishaps(evidence: Evidence) -> Iterator[Finding]:
    """Services go on, and are ready again after the fault; and the fault itself did what it should."""
    for what in evidence.mishaps:
        yield Finding("", what)
