"""How long to wait before a lost connection is made anew, and before a host is left that does not serve."""

import random
import time
from collections.abc import Callable

#: Doubled each time, with full jitter. Seconds.
MIN_S = 0.1
MAX_S = 5.0
#: Without a confirm. Doubled each time but the first. Seconds.
MIN_PATIENCE_S = 7.0
MAX_PATIENCE_S = 60.0
#: Failures at most after one that is explained.
EXCUSED = 2


class Pauses:
    """Grow until a connection has lived longer than the longest pause.

    That it was opened is not enough: one that opens and is lost at once, over and over, would be a storm.

    Args:
        clock: Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened_at: float | None = None
        self._failures = 0

    def opened(self) -> None:
        """Take note that a connection is open."""
        self._opened_at = self._clock()

    def lost(self) -> None:
        """Take note that it is gone, or could not be made."""
        opened_at, self._opened_at = self._opened_at, None
        has_lived = opened_at is not None and self._clock() - opened_at > MAX_S
        self._failures = 1 if has_lived else self._failures + 1

    def excuse(self) -> None:
        """Take note that it is gone for a reason that says nothing of the server: pauses stay short."""
        self._failures = min(self._failures, EXCUSED)

    @property
    def longest_s(self) -> float:
        """The longest that the next pause can be, in seconds; none after the first loss."""
        return 0.0 if self._failures < 2 else min(MAX_S, MIN_S * 2 ** min(self._failures, 10))

    def next_s(self) -> float:
        """Return the next pause, in seconds."""
        return random.uniform(0, self.longest_s)


class Patience:
    """How long confirms may be outstanding before another host is tried.

    It grows with each host that was left in vain: a queue may be out of order on all of them, and each loss
    of the connection costs what is under way to others.

    Args:
        clock: Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = 0
        self._left_at = float("-inf")

    @property
    def s(self) -> float:
        """Seconds."""
        if self._clock() - self._left_at > 2 * MAX_PATIENCE_S:
            self._left = 0
        return float(min(MIN_PATIENCE_S * 2 ** max(0, self._left - 1), MAX_PATIENCE_S))

    def lost(self) -> None:
        """Take note that a host was left."""
        self._left += 1
        self._left_at = self._clock()
