"""How many deliveries a child may hold: enough to keep its slots busy, few enough to keep priorities."""

from collections.abc import Mapping

#: Work that may wait in a child ahead of a more important job that arrives, in seconds.
AHEAD_S = 0.020
#: Most deliveries ahead for each slot: beyond it, tiny jobs gain nothing.
MAX_AHEAD_PER_SLOT = 15
#: Jobs of a queue after which their time is known, and that weigh half of it.
RECENT_JOBS = 16
#: It is known, too, after jobs that took so long together. Seconds.
KNOWN_AFTER_S = 1.0


def wanted(slots: int, service_s: float | None) -> int:
    """Return how many deliveries are worth having: one a slot, and 20 ms of work ahead.

    Args:
        slots: The slots that are there for them.
        service_s: How long the queue's jobs take, in seconds; None: not known yet.
    """
    if service_s is None:
        return slots
    most = slots * MAX_AHEAD_PER_SLOT
    return slots + (min(round(slots * AHEAD_S / service_s), most) if service_s > 0 else most)


class ServiceTimes:
    """The mean time of recent jobs by queue, from totals that only grow."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}
        self._recent: dict[str, tuple[float, float]] = {}

    def means(self, totals: Mapping[str, tuple[int, float]]) -> dict[str, float]:
        """Return the mean seconds of recent jobs, for queues where it is known.

        Args:
            totals: Jobs and their seconds so far, by queue.
        """
        return {
            queue: mean_s
            for queue, (count, seconds) in totals.items()
            if (mean_s := self._mean(queue, count, seconds)) is not None
        }

    def _mean(self, queue: str, count: int, seconds: float) -> float | None:
        seen_count, seen_s = self._seen.get(queue, (0, 0.0))
        recent_count, recent_s = self._recent.get(queue, (0.0, 0.0))
        if count > seen_count:
            fades_to = 0.5 ** ((count - seen_count) / RECENT_JOBS)
            recent_count = recent_count * fades_to + count - seen_count
            recent_s = recent_s * fades_to + seconds - seen_s
            self._seen[queue] = count, seconds
            self._recent[queue] = recent_count, recent_s
        is_known = count >= RECENT_JOBS or seconds >= KNOWN_AFTER_S
        return recent_s / recent_count if is_known else None
