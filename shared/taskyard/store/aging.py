"""Ageing: ready jobs that rise by one priority for each step of time that they wait."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from taskyard.store.base import Ready


class AgingStore(Protocol):
    """What has to be published once more, and how many messages there are of jobs that have another.

    A job has one message more each time that it rises. They carry the same attempt: which comes first is
    claimed, the others start nothing. The record of a job outlives its copies, as it does its message.
    """

    def age(self, queue: str, step_ms: int, limit: int) -> tuple[list["Ready"], bool]:
        """Raise confirmed ready jobs of a queue by one priority for each step that they have waited, up to 9.

        Give those whose copies are to be published, at most `limit`, those first whose step is due for
        longest; to others that ask, they are given only if `raised` is not told of them for some seconds.
        What is behind goes up all its steps at once. Of a queue that is paused nothing is given.
        Also tell whether there may be more: one call looks at some hundred jobs at most.

        Args:
            queue: The queue.
            step_ms: How long a step is.
            limit: Most jobs to give.
        """

    def raised(self, queue: str, step_ms: int, ids: Sequence[str]) -> None:
        """Note that copies of jobs that `age` gave are confirmed."""

    def copies(self, *, recent_ms: int = 0) -> dict[str, int]:
        """Return for each queue how many messages it has beside those that its pending jobs must have.

        Messages that were counted so long ago need not have been among these: copies that were made within
        `recent_ms` are left out, and some that are older by a second.
        """

    def forget_copies(self, gone: Mapping[str, int]) -> None:
        """Note that so many copies of each queue are gone without having come to a worker, as by a purge."""
