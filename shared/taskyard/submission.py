"""Submissions over AMQP: what they may ask for besides a job, and the replies to them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from pydantic import Field

from taskyard.errors import InvalidSubmission, TaskyardError, public_text
from taskyard.faults import Fault
from taskyard.job import for_submitter
from taskyard.request import JobRequest

Reply = Literal["accepted", "result"]
#: Jobs of one message, where its body is an array.
MAX_BATCH_JOBS = 1000
#: Fields of a job document that a reply leaves out, in this order, where it would be too large.
OMITTED = ("attempts", "args", "kwargs", "progress", "tags", "error", "result")
#: What a reply may be longer than the largest result.
ROOM_BYTES = 65_536


class Submission(JobRequest):
    """A job as it is asked for over AMQP."""

    reply: Reply = Field(
        default="accepted",
        description="What reply_to is told: that the job is accepted, or (result) also how it ended.",
    )


class Accepted(Struct, frozen=True, tag_field="status", tag="accepted"):
    """The job is recorded."""

    id: Annotated[str, Meta(description="The job; of a duplicate, or one like it, the first.")]


class AcceptedBatch(Struct, frozen=True, tag_field="status", tag="accepted"):
    """All jobs of an array are recorded."""

    ids: Annotated[list[str], Meta(description="The jobs, in the order of the array.")]


class Partial(Struct, frozen=True, tag_field="status", tag="partial"):
    """Jobs of an array are recorded, but for those that a living one keeps out."""

    ids: Annotated[
        list[str | None], Meta(description="The jobs, in the order of the array; null: refused.")
    ]
    errors: list[Fault]


class Refused(Struct, frozen=True, tag_field="status", tag="refused"):
    """No job was made; what was submitted is kept among the dead letters."""

    code: str
    detail: Annotated[str, Meta(description="What is wrong, for people.")]
    errors: Annotated[list[Fault], Meta(description="The first 100 faults.")]


Answer = Accepted | AcceptedBatch | Partial | Refused


def reply_wanted(data: Mapping[str, Any], reply_to: str | None) -> Reply:
    """Return what a submission says of its reply.

    Raises:
        InvalidSubmission: If it is another word, or the outcome is asked for and nothing says where it goes.
    """
    reply = data.get("reply", "accepted")
    if reply == "result" and not reply_to:
        text = "set the property reply_to to the queue that the outcome shall go to"
        raise InvalidSubmission([Fault("/reply", "conflict", text)])
    if reply == "result" or reply == "accepted":
        return "result" if reply == "result" else "accepted"
    raise InvalidSubmission([Fault("/reply", "literal_error", "must be 'accepted' or 'result'")])


def refusal(error: TaskyardError) -> Refused:
    """Return the reply that tells an error."""
    if isinstance(error, InvalidSubmission):
        return Refused(error.code, public_text(error), list(error.faults))
    return Refused(error.code, public_text(error), [Fault("", error.code, str(error))])


def outcome(job: Mapping[str, Any], *, is_submitter: bool, max_bytes: float) -> bytes:
    """Return the reply that tells how a job ended: its document, without what would be too large.

    Args:
        job: The document of the job, which has ended, as it may be shown.
        is_submitter: Whether it is told to who has submitted the job; any other gets its state only.
        max_bytes: How long it may be; what is never left out may be longer.
    """
    shown = for_submitter(job, may_read=is_submitter)
    omitted = [name for name in job if name not in shown]
    document: dict[str, Any] = {"status": "ended", **shown, "omitted": omitted}
    body = msgspec.json.encode(document)
    for name in OMITTED:
        if len(body) <= max_bytes:
            break
        document = _without(document, name)
        body = msgspec.json.encode(document)
    return body


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    omitted: Sequence[str] = [*document["omitted"], name]
    return {**{key: value for key, value in document.items() if key != name}, "omitted": omitted}
