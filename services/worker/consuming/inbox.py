"""Deliveries that wait for a slot, in the order in which they are to run."""

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable

from msgspec import Struct, field
from pika.channel import Channel
from pika.spec import BasicProperties

from services.worker.attempts.refusal import Refusal
from taskyard.message import DEFAULT_PRIORITY, MAX_PRIORITY


class Delivery(Struct, eq=False):
    """A message that waits for its acknowledgement."""

    queue: str
    tag: int
    body: bytes
    properties: BasicProperties
    #: The channel that it came on: its tag means something else on every other. None: it came from the store.
    channel: Channel | None
    #: Why its job can never run, once that is known.
    refusal: Refusal | None = None
    #: Its attempt runs here already, by another message.
    is_surplus: bool = False
    #: When it came here, in seconds that only grow.
    arrived: float = field(default_factory=time.monotonic)

    @property
    def is_open(self) -> bool:
        """Whether it can be acknowledged: what came on a channel that is gone comes again by itself."""
        return self.channel is None or bool(self.channel.is_open)

    @property
    def is_readable(self) -> bool:
        """Whether it has a message, as far as is known."""
        return self.refusal is None or self.refusal.is_readable

    @property
    def priority(self) -> int:
        """The priority that RabbitMQ ordered it by: what is above the highest counts as that."""
        priority = self.properties.priority
        return DEFAULT_PRIORITY if priority is None else min(priority, MAX_PRIORITY)


class Inbox:
    """Deliveries that wait for a slot, highest priority first, then oldest."""

    def __init__(self, on_arrival: Callable[[], None]) -> None:
        self._heap: list[tuple[int, int, Delivery]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._on_arrival = on_arrival

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def by_queue(self) -> Counter[str]:
        """Return how many wait, by queue."""
        with self._lock:
            return Counter(entry[2].queue for entry in self._heap)

    def put(self, delivery: Delivery) -> None:
        """Add a delivery."""
        with self._lock:
            heapq.heappush(self._heap, (-delivery.priority, next(self._numbers), delivery))
        self._on_arrival()

    def take(self, limit: int) -> list[Delivery]:
        """Remove and return the first deliveries, at most `limit`."""
        with self._lock:
            count = min(limit, len(self._heap))
            return [heapq.heappop(self._heap)[2] for _ in range(count)]

    def remove(self, predicate: Callable[[Delivery], bool]) -> list[Delivery]:
        """Remove and return all deliveries for which `predicate` holds."""
        with self._lock:
            removed = [entry[2] for entry in self._heap if predicate(entry[2])]
            self._heap = [entry for entry in self._heap if not predicate(entry[2])]
            heapq.heapify(self._heap)
        return removed

    def surplus(self, keep: int, *, until: float | None = None) -> list[Delivery]:
        """Remove and return all but the first `keep`, of those that came before `until` if it is given."""
        with self._lock:
            self._heap.sort()  # still a heap
            left = [e for e in self._heap[keep:] if until is None or e[2].arrived <= until]
            dropped = {entry[1] for entry in left}
            self._heap = [entry for entry in self._heap if entry[1] not in dropped]
        return [entry[2] for entry in left]
