"""What the audit asks of a store: its totals, records that are not where their state says, lost messages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from taskyard.store.base import Ready

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


class Finding(Struct, frozen=True, array_like=True):
    """A job that is not accounted for."""

    id: str
    queue: str
    #: Empty where the record is gone.
    state: str
    problem: Problem
    is_repaired: bool = False


class Page(Struct, frozen=True, array_like=True):
    """The findings of one step through all records."""

    #: Where to go on; "0" once all have been seen.
    cursor: str
    checked: int
    findings: list[Finding]


class QueueRow(Struct, frozen=True, array_like=True):
    """Pending jobs of a queue."""

    #: Those that became ready before the time that was asked about.
    jobs: int
    #: Those that have been ready for long, and that the broker has confirmed.
    old: int
    #: Those that the broker has not confirmed, or not that the store would know: at most so many.
    unconfirmed: int


class QueueLook(Struct, frozen=True):
    """The pending jobs of some queues at one moment, in milliseconds since 1970."""

    at_ms: int
    rows: dict[str, QueueRow]


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


class AuditStore(Protocol):
    """Checks of the store in itself; each call is one atomic, bounded look."""

    def totals(self) -> Totals | None:
        """Return what was recorded, withdrawn, pruned and kept, at one moment; None if none ever was."""

    def audit_records(
        self, cursor: str, limit: int, *, ids: Sequence[str] = (), is_repair: bool = False
    ) -> Page:
        """Check about `limit` records from `cursor` on ("0" is the beginning, "" none), and those of `ids`.

        A record that is there from the first step of a walk to its last is seen. With `is_repair` each
        finding is put where it belongs, as far as its record still tells.
        """

    def audit_queues(
        self, queues: Sequence[str], older_than_ms: int, *, before_ms: int = 0
    ) -> QueueLook:
        """Count the pending jobs of each queue.

        Args:
            queues: Their names.
            older_than_ms: How long an `old` one has been ready.
            before_ms: When `jobs` became ready, at the latest; 0: none did.
        """

    def audit_published(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        """Return the oldest jobs of a queue that must have a message in the broker."""

    def audit_overtaken(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        """Return the oldest jobs that must have a message in the broker and have been overtaken.

        Those are overtaken that come before one that runs just now: it is of the same priority and became
        ready later, or of a lower one and started later. `OVERTAKEN_LIMIT` jobs of the queue are looked at.
        """

    def audit_republish(self, ids: Sequence[str], older_than_ms: int = 0) -> "list[Ready]":
        """Put pending jobs that have been ready for so long back into the outbox, and return them.

        They are ready from now on, as their messages will be: whoever asks for the same a moment later, such
        as another scheduler, gets none of them.
        """
