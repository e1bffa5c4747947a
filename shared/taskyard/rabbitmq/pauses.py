"""How long to wait before a lost connection is made anew, and before a host is left that does not serve."""

import random
import time
from collections.abc import Callable

#: Doubled each time, with full jitter. Seconds.
MIN_S = 0.1
MAX_S = 5.0
#: Without a confirm, at one host after the other. A queue that loses its leader has another in 5 to 10 s,
#: and what was sent before may wait for the old one; the third host comes after that, and may be the
#: bad one. Seconds.
PATIENCE_S = (4.0, 4.0, 2.0, 8.0, 16.0, 32.0, 60.0)
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
        if self._clock() - self._left_at > 2 * PATIENCE_S[-1]:
            self._left = 0
        return PATIENCE_S[min(self._left, len(PATIENCE_S) - 1)]

    def lost(self) -> None:
        """Take note that a host was left."""
        self._left += 1
        self._left_at = self._clock()
