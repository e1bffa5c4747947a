"""Jobs whose message can never run: each ends by an attempt that fails with the reason, and so its record.

A message of no known job becomes a dead letter and is gone. Were that of a job no more than this, its record
would have it published again and again, or a suspect be given out again and again.
"""

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from taskyard.dispatcher import ATTEMPT_HEADER
from taskyard.errors import TaskyardError
from taskyard.message import ID_PATTERN, MAX_ATTEMPTS, Message, Options
from taskyard.rabbitmq.bodies import Beginning
from taskyard.rabbitmq.properties import received_number, received_text

if TYPE_CHECKING:
    from services.worker.consuming.inbox import Delivery


class InvalidMessage(TaskyardError):
    """A job's message cannot be run; the code is the reason of its dead letter."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.code = reason


class Refusal(Struct, frozen=True):
    """Why a job can never run, and what stands for its message in the attempt that ends it."""

    error: InvalidMessage
    message: Message
    #: Whether it would be one in another worker: if not there is nothing to run again.
    is_readable: bool


def refusal(delivery: "Delivery", error: InvalidMessage) -> Refusal | None:
    """Return the refusal of a delivery; None if its properties name no job that it may be of.

    Its body is not looked at: it need not be a message, or may be too large for that.
    """
    job_id = received_text(delivery.properties.message_id)
    if not re.fullmatch(ID_PATTERN.strip("^$"), job_id):
        return None
    message = Message(
        queue_name=delivery.queue,
        task=received_text(delivery.properties.type),
        args=[],
        kwargs={},
        options=Options(attempt=_attempt(delivery)),
        message_id=job_id,
        message_timestamp=0,
    )
    return Refusal(error, message, error.code == "too_large" and _is_whole(delivery.body))


def _attempt(delivery: "Delivery") -> int:
    header = (delivery.properties.headers or {}).get(ATTEMPT_HEADER)
    return received_number(header, 1, MAX_ATTEMPTS) or 1


def _is_whole(body: bytes) -> bool:
    """Return whether all of it is there, and is text."""
    if isinstance(body, Beginning):
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
