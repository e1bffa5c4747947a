"""Group commit: while one thread's batch is being written, the others' calls become the next batch."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from taskyard.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")


class _Call(Generic[T, R]):
    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.results: Sequence[R] | None = None
        self.error: Exception | None = None


class GroupCommit(Generic[T, R]):
    """Calls `write` with the items of many threads at once; adds no wait and no thread of its own.

    Args:
        write: Gives a result for each item, in their order; may be called again with some of them. That it is
            `Unavailable` is raised in every caller, any other error in those whose items make it.
        limit: Most items of one write.
    """

    def __init__(self, write: Callable[[list[T]], Sequence[R]], *, limit: int = 1000) -> None:
        self._write = write
        self._limit = limit
        self._waiting: list[_Call[T, R]] = []
        self._waiting_lock = threading.Lock()
        self._writing = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many calls wait for the next write."""
        return len(self._waiting)

    def __call__(self, items: Sequence[T]) -> Sequence[R]:
        """Return the results for `items` once they are written, by this thread or another."""
        call = _Call[T, R](items)
        with self._waiting_lock:
            self._waiting.append(call)
        with self._writing:  # the thread that gets it writes for all that wait
            while call.results is None and call.error is None:
                # Nothing left, and ours not written: a thread was interrupted with our call in hand.
                self._write_batch(self._take() or [call])
        if call.error is not None:
            raise call.error
        assert call.results is not None
        return call.results

    def _take(self) -> list[_Call[T, R]]:
        with self._waiting_lock:
            size, count = 0, 0
            for call in self._waiting:
                size += len(call.items)
                if count and size > self._limit:
                    break
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            return taken

    def _write_batch(self, calls: list[_Call[T, R]]) -> None:
        try:
            results = self._write([item for call in calls for item in call.items])
        except Unavailable as error:
            for call in calls:
                call.error = error
            return
        except Exception as error:  # noqa: BLE001 - raised in its caller
            if len(calls) == 1:
                calls[0].error = error
            else:  # what is wrong with one call's items is not the others' fault
                for call in calls:
                    self._write_batch([call])
            return
        start = 0
        for call in calls:
            call.results = results[start : start + len(call.items)]
            start += len(call.items)
