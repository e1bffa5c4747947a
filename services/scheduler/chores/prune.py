"""The chore that removes records past their retention."""

from taskyard.store import JobStore
from taskyard.telemetry.metrics import JOBS_PRUNED

#: Records of one pass; a full pass is followed by the next at once.
LIMIT = 1000


class Prune:
    """Removes records whose time to be kept is over, in bounded steps.

    Args:
        store: Where they are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def run_once(self) -> float | None:
        """Remove some; return 0 if there may be more."""
        removed = self._store.prune(LIMIT)
        JOBS_PRUNED.inc(removed)
        return 0 if removed == LIMIT else None
