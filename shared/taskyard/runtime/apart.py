"""Each item apart: what fails rests, longer each time, and never holds up the others."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from taskyard.errors import StoreFault, StoreUnavailable, TaskyardError, Unavailable, Unstorable
from taskyard.telemetry.metrics import RESTING
from taskyard.telemetry.untold import in_words

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: How long an item rests after its first failure, and at most; doubled in between. Seconds.
MIN_REST_S = 1.0
MAX_REST_S = 60.0
#: An item that was not met again for so long after its rest is gone. Seconds.
FORGET_S = 600.0
#: How often such items are looked for. Seconds.
SWEEP_S = 10.0


def all_or_each(
    items: Sequence[T], act: Callable[[Sequence[T]], Sequence[R]]
) -> list[R | TaskyardError]:
    """Call `act` with all items at once, or with each alone where the store fails at one of them.

    Returns:
        For each item what `act` gives for it, or the error of the store that it made.
    """
    try:
        return list(act(items))
    except (StoreFault, Unstorable) as error:
        if len(items) == 1:
            return [error]
    return [result for item in items for result in all_or_each([item], act)]


class Apart:
    """Knows which items of one chore, or of one writer, rest because they failed.

    Args:
        what: What the items are, in the log and as the metric's label: `schedule`, `dead letter`.
        is_away: Whether RabbitMQ as a whole is: then no item is at fault.
        max_rest_s: The longest rest, in seconds.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self,
        what: str,
        *,
        is_away: Callable[[], bool] = lambda: False,
        max_rest_s: float = MAX_REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._is_away = is_away
        self._max_rest_s = max_rest_s
        self._clock = clock
        self._swept_at = clock()
        #: Failures in a row, and the end of the rest, by item.
        self._resting: dict[str, tuple[int, float]] = {}
        self._why = ""

    def __len__(self) -> int:
        """Return how many items have failed and not gone well since."""
        self.forget_gone()
        return len(self._resting)

    def each(
        self, items: Iterable[T], act: Callable[[T], object], *, key: Callable[[T], str]
    ) -> None:
        """Call `act` with each item that does not rest; whatever it raises is that item's own trouble.

        Raises:
            Unavailable: If the store is away, or RabbitMQ as a whole: that is nobody's own.
        """
        self.forget_gone()
        for item in items:
            name = key(item)
            if self.rests(name):
                continue
            try:
                act(item)
            except Exception as error:
                if self.is_shared(error):
                    raise
                self.failed(name, error)
            else:
                self.went_well(name)

    def is_shared(self, error: Exception) -> bool:
        """Return whether an error would meet every item just now."""
        return isinstance(error, StoreUnavailable) or (
            isinstance(error, Unavailable) and self._is_away()
        )

    def rests(self, name: str) -> bool:
        """Return whether this item is to be left alone for now."""
        return self.rest_s(name) > 0

    def rest_s(self, name: str) -> float:
        """Return the seconds that this item is still to be left alone; 0 if it does not rest."""
        found = self._resting.get(name)
        return 0.0 if found is None else max(0.0, found[1] - self._clock())

    def next_s(self) -> float | None:
        """Return the seconds until the first rest is over, or None if nothing rests."""
        ends = [end for _, end in list(self._resting.values())]
        return max(0.0, min(ends) - self._clock()) if ends else None

    def failed(self, name: str, error: Exception) -> None:
        """Have an item rest; the error is logged, with its traceback where it is none of ours."""
        failures = self._resting.get(name, (0, 0.0))[0] + 1
        pause_s = min(self._max_rest_s, MIN_REST_S * 2.0 ** min(failures - 1, 10))
        now = self._clock()
        self._resting[name] = failures, now + pause_s
        why = in_words(error)
        self._why = f"{name}: {why}"
        logger.error(
            "%s rests for %g s: %s",
            self._what,
            pause_s,
            why,
            extra={"item": name, "failures": failures},
            exc_info=None if isinstance(error, TaskyardError) else error,
        )
        self._count()

    def went_well(self, name: str) -> None:
        """Forget the failures of an item, or an item that is gone."""
        if self._resting.pop(name, None) is not None:
            self._count()

    def keep(self, is_there: Callable[[str], bool]) -> None:
        """Forget all other items; for who knows which there are."""
        for name in list(self._resting):
            if not is_there(name):
                self.went_well(name)

    def forget_gone(self) -> None:
        """Forget items that were not met for long; for who may meet none for long. Cheap."""
        now = self._clock()
        if now < self._swept_at + SWEEP_S:
            return
        self._swept_at = now
        ends = {name: end for name, (_, end) in list(self._resting.items())}
        self.keep(lambda name: ends.get(name, now) >= now - FORGET_S)

    def problems(self) -> list[str]:
        """Return what to tell an operator; empty if nothing rests."""
        if not len(self):
            return []
        return [f"{self._what}: {len(self)} rest after failures, the last {self._why}"]

    def _count(self) -> None:
        RESTING.labels(self._what).set(len(self._resting))
