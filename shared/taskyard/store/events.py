"""What the store tells while it happens: that jobs come to other states."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


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


class Subscription(Protocol):
    """Hears of every change of a state from now on, as long as its connection lasts; for one thread."""

    def get(self, timeout_s: float) -> Sequence[Transition]:
        """Return what was told since the last call; wait for it for `timeout_s`.

        Raises:
            StoreUnavailable: If the connection is gone: what was told meanwhile is lost.
        """

    def close(self) -> None:
        """Hear no more."""


class EventStore(Protocol):
    """Telling while it happens."""

    def subscribe(self) -> Subscription:
        """Return a subscription to the states of all jobs; while there is one, each change costs a little."""
