"""Suspects that can never run: each ends by an attempt that fails with the reason, and its record with it.

A message that can never be a job becomes a dead letter and is gone. A suspect has no message but its record,
which the store would give out again and again.
"""

from msgspec import Struct
from msgspec.structs import replace

from taskyard.errors import TaskyardError
from taskyard.message import Message, Options, decode
from taskyard.store.attempts import Suspect


class InvalidMessage(TaskyardError):
    """A job's message cannot be run; the code is the reason of its dead letter."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.code = reason


class Refusal(Struct, frozen=True):
    """Why a suspect can never run, and what stands for its message in the attempt that ends it."""

    error: InvalidMessage
    message: Message
    #: Whether the message is its own: if not there is nothing to run again.
    is_readable: bool


def refusal(suspect: Suspect, body: bytes, error: InvalidMessage) -> Refusal:
    """Return the refusal of a suspect, whose body need not be a message."""
    try:
        message, is_readable = decode(body), True
    except Exception:  # noqa: BLE001 - whatever decoding meets there is the message's own
        message, is_readable = _nothing(suspect), False
    options = replace(message.options, attempt=suspect.attempt)
    return Refusal(error, replace(message, message_id=suspect.id, options=options), is_readable)


def _nothing(suspect: Suspect) -> Message:
    return Message(
        queue_name=suspect.queue,
        actor_name="",
        args=[],
        kwargs={},
        options=Options(),
        message_id=suspect.id,
        message_timestamp=0,
    )
