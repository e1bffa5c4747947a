"""The store's books: its totals, records that are not where their state says, messages that may be lost."""

from typing import Literal

from msgspec import Struct

Problem = Literal[
    "not_waiting",
    "not_ready",
    "not_held",
    "not_run",
    "not_ended",
    "no_record",
    "unknown_state",
    "no_message",
]


#: So many ready jobs of a queue are looked at to find those that have been overtaken.
OVERTAKEN_LIMIT = 100_000


class Inconsistency(Struct, frozen=True, array_like=True):
    """A job that is not accounted for."""

    id: str
    queue: str
    #: Empty where the record is gone.
    state: str
    problem: Problem
    is_repaired: bool = False


class RecordPage(Struct, frozen=True, array_like=True):
    """The findings of one step through all records."""

    #: Where to go on; "0" once all have been seen.
    cursor: str
    checked: int
    findings: list[Inconsistency]


class PendingCount(Struct, frozen=True, array_like=True):
    """Pending jobs of a queue."""

    #: Those that became ready before the time that was asked about.
    jobs: int
    #: Those that have been ready for long, and that the broker has confirmed.
    old: int
    #: Those that the broker has not confirmed, or not that the store would know: at most so many.
    unconfirmed: int


class PendingCounts(Struct, frozen=True):
    """The pending jobs of some queues at one moment, in milliseconds since 1970."""

    at_ms: int
    rows: dict[str, PendingCount]


class Totals(Struct, frozen=True, kw_only=True):
    """What happened to records since the store was made, and how many there are now by state."""

    accepted: int
    withdrawn: int
    pruned: int
    kept: dict[str, int]

    @property
    def missing(self) -> int:
        """How many records are gone without a trace; below 0: more than were ever accepted."""
        return self.accepted - self.withdrawn - self.pruned - sum(self.kept.values())
