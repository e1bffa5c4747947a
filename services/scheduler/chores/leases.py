"""The chore that looks at the leases: a time without the store takes no job from a worker that lives."""

import logging

from taskyard.config import Settings
from taskyard.store import JobStore

logger = logging.getLogger(__name__)

#: After so many seconds in which nobody looked, or half a lease if that is longer, workers may not have
#: reached the store either: they get a lease's time to say that they live.
OUTAGE_S = 1.5


def outage_ms(settings: Settings) -> int:
    """Return the time without a look from which on leases are extended, in milliseconds."""
    return round(max(OUTAGE_S, settings.lease_s / 2) * 1000)


class WatchLeases:
    """Looks again and again, and does nothing else: what it waited for would pass for a time without a store.

    Args:
        store: Where the leases are.
        settings: How long they hold.
    """

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self._store = store
        self._gap_ms = outage_ms(settings)
        self._grace_ms = round(settings.lease_s * 1000)

    def run_once(self) -> None:
        """Look, and extend all leases if nobody could before."""
        if self._store.forgive_outage(self._gap_ms, self._grace_ms):
            logger.warning("leases are extended: nobody could reach the store for some time")
