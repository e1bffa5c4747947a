"""All that a judge may know of one round: what customers, tasks, witnesses and the system have said."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from taskyard.consistency.verification import Report
from tests.nemesis.book import Book
from tests.nemesis.executions import Execution
from tests.nemesis.witness import Witness

#: A job as the API shows it.
Document = dict[str, Any]

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})


@dataclass(frozen=True)
class Marks:
    """When what began and was over; seconds since 1970."""

    began_at: float
    fault_over_at: float
    load_over_at: float
    drained_at: float


@dataclass(kw_only=True)
class Evidence:
    """What is known of one round when its last job has ended, or nobody waits for it any more.

    It is complete before anybody asks for a job's executions.
    """

    book: Book
    marks: Marks
    witness: Witness
    #: All that began in this round.
    executions: list[Execution]
    #: Each job that was submitted as the API shows it; None: the API knows none.
    documents: dict[str, Document | None]
    #: Jobs that have ended, read again.
    read_again: dict[str, Document | None] = field(default_factory=dict)
    #: Accepted jobs that the API shows one by one, and not in its list.
    unlisted: set[str] = field(default_factory=set)
    #: What the system's own verification has found; None: it was not asked.
    consistency: Report | None = None
    #: The schedulers' gauge of jobs that are not accounted for.
    unaccounted: float = 0.0
    #: Jobs that the API shows among the dead letters, and messages in the queues of these.
    dead_letters: set[str] = field(default_factory=set)
    dead_messages: int = 0
    #: What went wrong with the fault itself or with a service: it ended, or did not become ready again.
    mishaps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def runs(self, job_id: str) -> list[Execution]:
        """Return the executions of a job, in the order of their beginning."""
        return self._by_job.get(job_id, [])

    @cached_property
    def _by_job(self) -> dict[str, list[Execution]]:
        found: dict[str, list[Execution]] = {}
        for each in self.executions:
            found.setdefault(each.job_id, []).append(each)
        return found

    def may_be_forgotten(self, job_id: str) -> bool:
        """Return whether the store was told of this job when it forgot what it was told."""
        asked = self.book.submissions.get(job_id)
        moments = [] if asked is None else [asked.asked_at, asked.answered_at]
        moments += [each.answered_at for each in self.book.cancels if each.job_id == job_id]
        for each in self.runs(job_id):
            moments += [each.began_at, each.ended_at or each.began_at]
        return self.witness.is_forgotten(moments)

    def ended(self) -> dict[str, Document]:
        """Return the jobs that have ended."""
        return {
            job_id: document
            for job_id, document in self.documents.items()
            if document is not None and document["state"] in TERMINAL
        }

    def states(self) -> Counter[str]:
        """Return how many of the accepted jobs are in which state."""
        found = (self.documents.get(each.job_id) for each in self.book.accepted())
        return Counter("missing" if each is None else each["state"] for each in found)
