"""Submissions that wait here while others go on: for queues that take no messages, or after a failure."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from services.scheduler.intake.received import ReceivedSubmission
from taskyard.errors import TaskyardError
from taskyard.runtime.apart import Apart
from taskyard.telemetry.metrics import RESTING

logger = logging.getLogger(__name__)

#: Submissions that wait here at most; those that cannot be refused either come on top of them.
MOST = 250
#: Bytes of their bodies at most, likewise.
MOST_BYTES = 64 * 1024 * 1024
#: Pauses before a queue is tried again, doubled while it refuses. Seconds.
PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 30.0


class HeldSubmissions:
    """Knows which queues refuse messages, tries each again after a pause, and holds what is for them.

    It also holds the submissions that rest for a trouble of their own.

    Args:
        apart: Knows those by their ids.
        clock: Gives the time in seconds.
        most: How many submissions are held at most.
    """

    def __init__(
        self, apart: Apart, *, clock: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        self._apart = apart
        self._clock = clock
        self._most = most
        self._closed: dict[str, _Closed] = {}
        self._free: deque[ReceivedSubmission] = deque()
        self._resting: list[ReceivedSubmission] = []

    def take(self) -> Iterator[ReceivedSubmission]:
        """Give what can go on, one by one: what is not asked for stays.

        That is what waited for queues that are open again, one for each to be tried, and what has rested.
        """
        while self._free:
            yield self._free.popleft()
        now = self._clock()
        for closed in self._closed.values():
            if closed.until <= now and closed.waiting:
                yield closed.waiting.popleft()
        self._apart.forget_gone()
        for each in [each for each in self._resting if not self._apart.rests(each.id)]:
            self._resting.remove(each)
            yield each

    def keep_only(
        self, are_ours: Callable[[Sequence[ReceivedSubmission]], list[ReceivedSubmission]]
    ) -> None:
        """Forget what RabbitMQ has taken back."""
        self._free = deque(are_ours(self._free))
        for closed in self._closed.values():
            closed.waiting = deque(are_ours(closed.waiting))
        self._resting = are_ours(self._resting)

    def in_the_way(self, queues: Iterable[str]) -> str | None:
        """Return one of these queues that is not to be tried now, or None: each is tried by one at a time."""
        now = self._clock()
        tried = [(queue, self._closed[queue]) for queue in queues if queue in self._closed]
        for queue, closed in tried:
            if closed.until > now:
                return queue
        for _, closed in tried:
            closed.until = now + closed.pause_s
        return None

    def close(self, queue: str, error: TaskyardError) -> None:
        """Note that a queue has refused a message."""
        closed = self._closed.get(queue)
        if closed is None:
            logger.warning(
                "queue takes no messages, its submissions wait: %s", error, extra={"queue": queue}
            )
            closed = self._closed[queue] = _Closed(error)
            self._count()
        else:
            closed.error = error
            closed.pause_s = min(PAUSE_MAX_S, 2 * closed.pause_s)
        closed.until = self._clock() + closed.pause_s

    def open(self, queue: str) -> None:
        """Note that a queue has taken a message: what waits for it goes on."""
        closed = self._closed.pop(queue, None)
        if closed is not None:
            logger.info("queue takes messages again", extra={"queue": queue})
            self._free.extend(closed.waiting)
            self._count()

    def why(self, queue: str) -> TaskyardError:
        """Return what a closed queue said last."""
        return self._closed[queue].error

    @property
    def held(self) -> int:
        """How many are held."""
        waiting = sum(len(closed.waiting) for closed in self._closed.values())
        return waiting + len(self._free) + len(self._resting)

    @property
    def held_bytes(self) -> int:
        """How long their bodies are together."""
        waiting = (each for closed in self._closed.values() for each in closed.waiting)
        return sum(len(each.body) for each in (*waiting, *self._free, *self._resting))

    @property
    def room_bytes(self) -> int:
        """How many more bytes can be held."""
        return max(0, MOST_BYTES - self.held_bytes)

    @property
    def room(self) -> int:
        """How many more can be held."""
        return max(0, self._most - self.held)

    def hold(self, queue: str, submission: ReceivedSubmission) -> None:
        """Have a submission wait for a queue; it goes on at once if that has been opened meanwhile."""
        closed = self._closed.get(queue)
        (self._free if closed is None else closed.waiting).append(submission)

    def rest(self, submission: ReceivedSubmission, error: Exception) -> None:
        """Have a submission rest that failed by itself, longer each time."""
        self._resting.append(submission)
        self._apart.failed(submission.id, error)

    def _count(self) -> None:
        RESTING.labels("queue of submissions").set(len(self._closed))


class _Closed:
    """A queue that refuses messages."""

    def __init__(self, error: TaskyardError) -> None:
        self.error = error
        self.pause_s = PAUSE_MIN_S
        self.until = 0.0
        self.waiting: deque[ReceivedSubmission] = deque()
