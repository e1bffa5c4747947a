"""What the store fails at: deliveries and outcomes that rest, and are then asked for again, each alone."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery
from taskyard.runtime.apart import Apart
from taskyard.store.attempts import Outcome

T = TypeVar("T")

#: How long a child with all slots busy waits before it looks again for what is due. Seconds.
LOOK_S = 0.1


class _Shelf(Generic[T]):
    """Things that rest, by the id of their job, of which there may be several."""

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        self._apart = Apart(what, clock=clock)
        self._things: dict[str, list[T]] = {}

    def __len__(self) -> int:
        return len(self._apart)

    def put(self, job_id: str, thing: T, error: Exception) -> None:
        self._things.setdefault(job_id, []).append(thing)
        self._apart.failed(job_id, error)

    def take(self) -> T | None:
        """Remove and return one whose rest is over."""
        job_id = next((name for name in self._things if not self._apart.rests(name)), None)
        if job_id is None:
            return None
        first, *others = self._things.pop(job_id)
        if others:
            self._things[job_id] = others
        return first

    def things(self) -> list[T]:
        """Return all of them."""
        return [thing for things in list(self._things.values()) for thing in things]

    def keep(self, is_wanted: Callable[[T], bool]) -> None:
        """Forget all others, and the failures of jobs of which none is left."""
        for job_id, things in list(self._things.items()):
            self._things[job_id] = [thing for thing in things if is_wanted(thing)]
            if not self._things[job_id]:
                del self._things[job_id]
                self._apart.went_well(job_id)

    @property
    def is_due(self) -> bool:
        return any(not self._apart.rests(name) for name in self._things)

    def went_well(self, job_id: str) -> None:
        self._apart.went_well(job_id)

    def problems(self) -> list[str]:
        return self._apart.problems()

    def next_s(self) -> float | None:
        return self._apart.next_s() if self._things else None


class Aside:
    """Keeps what the store failed at alone, and is no message's fault: nothing is given up or written.

    A delivery stays unacknowledged and an attempt's lease is kept meanwhile; both are tried again and again,
    with longer pauses, until the store is mended or an operator has repaired the record.
    Deliveries of channels that are gone are forgotten: they come again by themselves.

    Args:
        clock: Gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._claims: _Shelf[Delivery] = _Shelf("claim", clock)
        self._ends: _Shelf[tuple[Outcome, RunningAttempt]] = _Shelf("outcome", clock)

    def __len__(self) -> int:
        """Return how many have failed and not gone well since."""
        return len(self._claims) + len(self._ends)

    @property
    def is_due(self) -> bool:
        """Whether something is due to be tried again."""
        self._claims.keep(lambda each: each.is_open)
        return self._claims.is_due or self._ends.is_due

    def put_claim(self, job_id: str, delivery: Delivery, error: Exception) -> None:
        """Put a delivery aside."""
        self._claims.put(job_id, delivery, error)

    def put_end(self, entry: tuple[Outcome, RunningAttempt], error: Exception) -> None:
        """Put an outcome aside."""
        self._ends.put(entry[1].id, entry, error)

    def take_claim(self) -> Delivery | None:
        """Return a delivery that is due."""
        self._claims.keep(lambda each: each.is_open)
        return self._claims.take()

    def by_queue(self) -> Counter[str]:
        """Return how many deliveries rest, by queue."""
        return Counter(each.queue for each in self._claims.things() if each.is_open)

    def take_end(self) -> tuple[Outcome, RunningAttempt] | None:
        """Return an outcome that is due."""
        return self._ends.take()

    def went_well(self, *, claims: list[str], ends: list[str]) -> None:
        """Forget the failures of these jobs."""
        for job_id in claims:
            self._claims.went_well(job_id)
        for job_id in ends:
            self._ends.went_well(job_id)

    def held(self) -> list[Delivery]:
        """Return the deliveries that are held for what rests, outcomes among it."""
        return self._claims.things() + [attempt.delivery for _, attempt in self._ends.things()]

    def next_s(self) -> float | None:
        """Return the seconds after which to look for something that is due; None: nothing rests."""
        found = [each for each in (self._claims.next_s(), self._ends.next_s()) if each is not None]
        return max(LOOK_S, min(found)) if found else None

    def problems(self) -> list[str]:
        """Return what an operator should know; empty if nothing rests."""
        return self._claims.problems() + self._ends.problems()
