"""Answers to submitters: what a request with an idempotency key was answered, and who awaits an outcome."""

from typing import NamedTuple

from msgspec import Struct


class Reservation(Struct, frozen=True):
    """What the first request with a key has written down."""

    #: Tells its body from others.
    fingerprint: str
    #: Where the ids of its jobs come from: whoever repeats it makes the same ones.
    base_id: str
    #: What was answered, as JSON; empty as long as no request was.
    answer: str = ""


#: Places that are told of one job; of more, the submitter's and the latest.
MAX_RECIPIENTS = 10


class ReplyRequest(Struct, frozen=True, array_like=True):
    """One wish to be told of a job's end."""

    job_id: str
    #: The queue that the outcome goes to, and what comes back with it; empty: nothing.
    reply_to: str
    correlation_id: str = ""


class ReplyAddress(NamedTuple):
    """Who is to be told of a job's end."""

    reply_to: str
    correlation_id: str
    #: Whether it is who submitted the job; any other is told its state only.
    is_submitter: bool = False


class OwedReply(Struct, frozen=True, array_like=True):
    """A job that has ended, and who is still to be told."""

    job_id: str
    #: Names this taking: `mark_replied` needs it.
    again_at_ms: int
    #: How long ago the job ended, in milliseconds; -1: its record is gone.
    age_ms: int
    #: None where the store cannot read them.
    recipients: list[ReplyAddress]
