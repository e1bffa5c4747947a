"""What is watched of a store: counts of jobs by state, how full it is, and changes as they happen."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

#: Work that comes out of turn: waiting jobs are due now, or outcomes are owed to submitters.
Work = Literal["due_jobs", "replies"]


class QueueCounts(Struct, frozen=True, kw_only=True):
    """Jobs of one queue by state, and the age of its oldest pending job."""

    queue: str
    states: dict[str, int]
    oldest_pending_s: float | None


class Vitals(Struct, frozen=True, kw_only=True):
    """The store at one moment."""

    #: Ready jobs without a recorded confirm of their message: on their way, or for `relay`.
    unconfirmed: int
    #: How long the first waiting job is past its time, in seconds; 0 if none is.
    overdue_s: float
    memory_bytes: int
    #: 0 if there is no limit, or the server does not report it.
    memory_limit_bytes: int


class Transition(Struct, frozen=True, array_like=True):
    """A job has come to a state, or back to one."""

    id: str
    state: str
    task: str
    queue: str
    #: Number of its latest attempt; 0 before the first.
    attempt: int
    #: Milliseconds since 1970.
    at_ms: int


class EventSubscription(Protocol):
    """Hears of every change of a state from now on, as long as its connection lasts; for one thread."""

    def get(self, timeout_s: float) -> Sequence[Transition]:
        """Return the transitions since the last call; wait for some for `timeout_s`.

        Raises:
            StoreUnavailable: If the connection is gone: what happened meanwhile is lost.
        """

    def close(self) -> None:
        """Hear no more."""
