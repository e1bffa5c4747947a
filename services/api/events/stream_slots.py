"""The places for live streams: never so many that requests starve."""

import threading

from services.api.http import metrics
from taskyard.errors import Unavailable


class TooManyStreams(Unavailable):
    """All places for streams are taken."""

    code = "too_many_streams"


class Places:
    """The places for streams; who finds none is refused.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        metrics.STREAMS_LIMIT.set(count)
        self._free = threading.BoundedSemaphore(count) if count else None

    def take(self) -> None:
        """Take a place.

        Raises:
            TooManyStreams: If none is free.
        """
        if self._free is None or not self._free.acquire(blocking=False):
            metrics.STREAMS_REFUSED.inc()
            raise TooManyStreams(f"all {self._count} places for streams of API_STREAMS are taken")
        metrics.STREAMS.inc()

    def leave(self) -> None:
        """Give a place back."""
        if self._free is not None:
            self._free.release()
            metrics.STREAMS.dec()
