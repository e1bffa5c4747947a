"""How large messages may be, for RabbitMQ and for taskyard."""

import re
from typing import Any, NamedTuple

from taskyard.config import Settings
from taskyard.message import MESSAGE_SLACK_BYTES
from taskyard.submission import ROOM_BYTES

_TOLD = re.compile(r"larger than configured max size (\d+)")
_PRECONDITION_FAILED = 406


class Largest(NamedTuple):
    """How large messages may be, in bytes, and the setting that this follows from."""

    size_bytes: int
    setting: str


def largest(settings: Settings) -> Largest:
    """Return the size of the largest message that a service may publish."""
    return max(
        Largest(settings.payload_max_bytes + MESSAGE_SLACK_BYTES, "PAYLOAD_MAX_BYTES"),
        Largest(settings.dead_letter_max_bytes, "DEAD_LETTER_MAX_BYTES"),
        Largest(settings.result_max_bytes + ROOM_BYTES, "RESULT_MAX_BYTES"),
    )


def limit_told(reason: Any) -> int | None:
    """Return RabbitMQ's `max_message_size`, where it has closed a channel for a message above it."""
    if getattr(reason, "reply_code", 0) != _PRECONDITION_FAILED:
        return None
    match = _TOLD.search(str(reason))
    return int(match[1]) if match else None


def why_too_large(size: int, limit: int) -> str:
    """Return what to tell of a message that RabbitMQ does not take."""
    return f"RabbitMQ takes messages up to {limit} bytes and this has {size}: raise its max_message_size"
