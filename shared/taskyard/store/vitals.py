"""What an operator watches of the store itself: what is overdue in it, and how full it is."""

from typing import Protocol

from msgspec import Struct


class Vitals(Struct, frozen=True, kw_only=True):
    """The store at one moment."""

    #: Ready jobs without a recorded confirm of their message: on their way, or for `relay`.
    unconfirmed: int
    #: How long the first waiting job is past its time, in seconds; 0 if none is.
    overdue_s: float
    memory_bytes: int
    #: 0 if there is no limit, or none is told.
    memory_limit_bytes: int


class VitalsStore(Protocol):
    """The part of the store that tells how it is."""

    def vitals(self) -> Vitals:
        """Return how the store is now."""
