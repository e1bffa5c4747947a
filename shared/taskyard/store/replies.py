"""Outcomes that somebody waits for elsewhere: who is to be told of a job's end, until that has been done."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

#: Places that are told of one job; of more, the submitter's and the latest.
MAX_PLACES = 10


class Asked(Struct, frozen=True, array_like=True):
    """One wish to be told of a job's end."""

    job_id: str
    #: The queue that the outcome goes to, and what comes back with it; empty: nothing.
    reply_to: str
    correlation_id: str = ""


class Place(NamedTuple):
    """Who is to be told of a job's end."""

    reply_to: str
    correlation_id: str
    #: Whether it is who submitted the job; any other is told its state only.
    is_submitter: bool = False


class Owed(Struct, frozen=True, array_like=True):
    """A job that has ended, and who is still to be told."""

    job_id: str
    #: Names this taking: `replied` needs it.
    again_at_ms: int
    #: How long ago the job ended, in milliseconds; -1: its record is gone.
    age_ms: int
    #: None where the store cannot read them.
    places: list[Place]


class ReplyStore(Protocol):
    """The outbox of outcomes; see `base` for what holds for every method."""

    def ask_reply(self, asked: Sequence[Asked]) -> None:
        """Note who is to be told when jobs end; where that has happened, it is owed at once."""

    def take_replies(self, again_ms: int, limit: int) -> tuple[list[Owed], int]:
        """Give replies that are owed, and hide them for `again_ms`; also how many are owed in all."""

    def replied(self, owed: Sequence[Owed]) -> None:
        """Forget these places, which were told or given up; nothing of what is owed anew since the taking."""

    def await_replies(self, timeout_s: float) -> None:
        """Return when a reply is owed, after `timeout_s` at the latest; for one thread."""
