"""The slots of live streams: a bounded number, so that requests do not starve."""

import threading

from services.api.http import request_metrics
from services.api.http.errors import TooManyStreams


class StreamSlots:
    """The slots of live streams; a stream that finds none free is refused.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        request_metrics.STREAMS_LIMIT.set(count)
        self._free = threading.BoundedSemaphore(count) if count else None

    def take(self) -> None:
        """Take a slot.

        Raises:
            TooManyStreams: If none is free.
        """
        if self._free is None or not self._free.acquire(blocking=False):
            request_metrics.STREAMS_REFUSED.inc()
            raise TooManyStreams(f"all {self._count} slots for streams of API_STREAMS are taken")
        request_metrics.STREAMS.inc()

    def release(self) -> None:
        """Give a slot back."""
        if self._free is not None:
            self._free.release()
            request_metrics.STREAMS.dec()
