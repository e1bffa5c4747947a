"""What was asked for and what was answered: the customers' own book of one round."""

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

#: `unknown`: no answer came, so the job may be there or not.
Verdict = Literal["accepted", "refused", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One job that was handed over; times in seconds since 1970."""

    job_id: str
    door: str
    task: str
    number: int
    verdict: Verdict
    #: Before it was sent, and after its answer.
    asked_at: float
    answered_at: float
    delay_s: float | None = None
    #: Of one that was not accepted: why.
    detail: str = ""
    #: Whether the refusal promises that the job is not kept: it was wrong, or no queue took it.
    is_final: bool = False


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """One request to cancel a job; 200 says that it will not run, 202 that it was asked to stop."""

    job_id: str
    asked_at: float
    answered_at: float
    status: int


@dataclass
class Book:
    """What all customers of a round have noted."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    #: Numbers of jobs whose submission failed, and that had no id yet.
    nameless: list[int] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    #: Jobs that somebody tried to cancel, whatever was answered.
    doomed: set[str] = field(default_factory=set)
    #: For each key of unique jobs, those that were answered with.
    by_key: dict[str, set[str]] = field(default_factory=dict)
    #: Answers that no customer should get, and what else surprised one.
    surprises: list[str] = field(default_factory=list)
    #: For each job, how many ends the stream of events has told.
    ends_told: Counter[str] = field(default_factory=Counter)
    missed_events: int = 0
    #: For each job that came over AMQP, how many replies told its end.
    ends_replied: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, submission: Submission) -> None:
        """Note a submission; what was accepted once stays accepted.

        One that is repeated was asked for when it was first sent: that one may have been recorded.
        """
        with self.lock:
            known = self.submissions.get(submission.job_id)
            if known is None:
                self.submissions[submission.job_id] = submission
            elif known.verdict != "accepted":
                repeated = replace(submission, asked_at=known.asked_at)
                self.submissions[submission.job_id] = repeated

    def accepted(self) -> list[Submission]:
        """Return the jobs that were promised to run."""
        with self.lock:
            return [each for each in self.submissions.values() if each.verdict == "accepted"]
