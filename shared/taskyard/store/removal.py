"""What takes jobs away on an operator's word: records that have ended, and jobs that only wait in a queue."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct


class Removed(Struct, frozen=True, array_like=True):
    """What `remove` did: `removed`, `too_early` (see `RemovalStore.remove`) or `unknown`."""

    id: str
    verdict: Literal["removed", "too_early", "unknown"]
    state: str


class Purged(Struct, frozen=True, array_like=True):
    """What one call of `purge` did."""

    cancelled: int
    left: int
    before_ms: int


class RemovalStore(Protocol):
    """Removing and purging."""

    def remove(self, ids: Sequence[str]) -> list[Removed]:
        """Forget jobs that have ended, as `prune` does when their time is over.

        One of which a message may still come, as after a cancellation, stays until a worker has seen that.
        """

    def purge(self, queue: str, *, limit: int, ttl_ms: int, before_ms: int | None = None) -> Purged:
        """Cancel pending jobs of a queue, the oldest first; one that runs is left.

        Args:
            queue: Its name.
            limit: Most jobs of this call; 0 cancels none.
            ttl_ms: How long their records are kept.
            before_ms: Only those that were ready by then (milliseconds since 1970); None means now.

        Returns:
            How many were cancelled, and how many are left that were ready by then; and when that was.
        """

    def submitted_within(self, period_s: float) -> int:
        """Return how many of the jobs that are kept were submitted in the last `period_s` seconds."""
