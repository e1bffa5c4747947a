"""Answers to submitters: what a request with an idempotency key was answered, and who awaits an outcome."""

from typing import NamedTuple

from msgspec import Struct


class Reservation(Struct, frozen=True):
    """What the first request with an idempotency key has recorded."""

    #: Tells its body from others.
    fingerprint: str
    #: Where the ids of its jobs come from: a repeated request makes the same ones.
    base_id: str
    #: What was answered, as JSON; empty as long as no request was.
    answer: str = ""


#: Most recipients of one job's outcome; of more, the submitter's and the latest are kept.
MAX_RECIPIENTS = 10


class ReplyRequest(Struct, frozen=True, array_like=True):
    """One request for the outcome of a job."""

    job_id: str
    #: The queue that the outcome goes to, and what comes back with it; empty: nothing.
    reply_to: str
    correlation_id: str = ""


class ReplyAddress(NamedTuple):
    """Where the outcome of a job goes."""

    reply_to: str
    correlation_id: str
    #: Whether it is the submitter's; any other gets the state only.
    is_submitter: bool = False


class OwedReply(Struct, frozen=True, array_like=True):
    """A job that has ended, and who has yet to get its outcome."""

    job_id: str
    #: Names this taking: `mark_replied` needs it.
    again_at_ms: int
    #: How long ago the job ended, in milliseconds; -1: its record is gone.
    age_ms: int
    #: None where the store cannot read them.
    recipients: list[ReplyAddress]
