"""Bytes of deliveries that are unacknowledged: RabbitMQ bounds their number only, and not their size."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

#: Deliveries after which a large one counts for half.
FADES_OVER = 11
_FADES_TO = 0.5 ** (1 / FADES_OVER)


def is_off(current: int, target: int) -> bool:
    """Whether a prefetch is wrong enough to subscribe anew: by a factor of two."""
    return current != target and (target >= current * 2 or target * 2 <= current)


class InHand:
    """Knows how many bytes are in hand, and whether there may be more.

    Args:
        most_bytes: So many at most, unless a single delivery has more.
        on_room: Called when there is room for half as many, after there was none for one.
    """

    def __init__(self, most_bytes: int, on_room: Callable[[], None]) -> None:
        self._most_bytes = most_bytes
        self._room_bytes = most_bytes / 2
        self._on_room = on_room
        self._is_short = False
        self.bytes = 0

    def takes(self, size: int) -> bool:
        """Add a delivery if there is room for it; return whether there is."""
        if self.bytes and self.bytes + size > self._most_bytes:
            self._is_short = True
            return False
        self.bytes += size
        return True

    def drop(self, size: int) -> None:
        """Let go of so many bytes."""
        self.bytes -= size
        self._look()

    def bound(self, most_bytes: int) -> None:
        """Let there be so many bytes at most from now on."""
        self._most_bytes = most_bytes
        self._look()

    def _look(self) -> None:
        if self._is_short and self._most_bytes - self.bytes >= self._room_bytes:
            self._is_short = False
            self._on_room()


class Sizes:
    """How many deliveries of a queue may come at a time, by how large the recent ones were.

    The first ones of a queue come before that is known; what is too much then goes back.

    Args:
        most_bytes: Of all of them together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._largest = 0.0

    def saw(self, size: int) -> None:
        """Take note of a delivery."""
        self._largest = max(size, self._largest * _FADES_TO)

    def bounded(self, prefetch: int) -> int:
        """Return a prefetch, or a smaller one, with which so many bytes do not come at a time."""
        if self._largest * prefetch <= self._most_bytes:
            return prefetch
        return max(1, int(self._most_bytes / self._largest))


def portion(items: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> list[T]:
    """Return the first of some items: one, however large, and others while there are not too many bytes.

    Args:
        items: In their order.
        size: How many bytes an item has.
        most: With so many there are enough.
        most_bytes: With so many bytes likewise.
    """
    taken: list[T] = []
    left = most_bytes
    for item in items:
        left -= size(item)
        if taken and (left < 0 or len(taken) == most):
            break
        taken.append(item)
    return taken
