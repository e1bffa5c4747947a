"""What is remembered of requests that carry a key, so that a repeated one has one effect."""

from typing import Protocol

from msgspec import Struct


class Reservation(Struct, frozen=True):
    """What the first request with a key has written down."""

    #: Tells its body from others.
    fingerprint: str
    #: Where the ids of its jobs come from: whoever repeats it makes the same ones.
    base_id: str
    #: What was answered, as JSON; empty as long as no request was.
    answer: str = ""


class IdempotencyStore(Protocol):
    """Reservations by key, each forgotten after its time."""

    def reserve(self, key: str, mine: Reservation, ttl_ms: int) -> Reservation:
        """Return the reservation that holds for `key`: the first that was made, maybe `mine`."""

    def conclude(self, key: str, reservation: Reservation) -> None:
        """Write the answer down; the time to be kept goes on from when it was reserved."""
