"""How many deliveries a child may hold: enough to keep its slots busy, few enough to keep priorities."""

from collections.abc import Mapping

#: Work that may wait in a child ahead of a more important job that arrives, in seconds.
AHEAD_S = 0.020
#: Most deliveries ahead for each slot: beyond it, tiny jobs gain nothing.
MAX_AHEAD_PER_SLOT = 15


def wanted(slots: int, service_s: float) -> int:
    """Return the prefetch for jobs that take `service_s` seconds: the slots, and 20 ms of work ahead."""
    ahead = round(slots * AHEAD_S / service_s) if service_s > 0 else slots * MAX_AHEAD_PER_SLOT
    return slots + min(max(ahead, slots), slots * MAX_AHEAD_PER_SLOT)


def is_off(current: int, target: int) -> bool:
    """Whether a prefetch is wrong enough to subscribe anew: by a factor of two."""
    return target >= current * 2 or target * 2 <= current


class ServiceTimes:
    """The mean time of recent jobs by queue, from totals that only grow."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def means(self, totals: Mapping[str, tuple[int, float]]) -> dict[str, float]:
        """Return the mean seconds of the jobs since the last call, for queues with at least 16.

        Args:
            totals: Jobs and their seconds so far, by queue.
        """
        means = {}
        for queue, (count, seconds) in totals.items():
            seen_count, seen_seconds = self._seen.get(queue, (0, 0.0))
            if count - seen_count >= 16:
                means[queue] = (seconds - seen_seconds) / (count - seen_count)
                self._seen[queue] = count, seconds
        return means
