"""Removing and purging, on Redis."""

from collections.abc import Sequence
from typing import Any

from taskyard.store.jobs import Purged, Removed
from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisRemoval(RedisScripts):
    """What takes jobs away on an operator's word."""

    @guarded
    def remove(self, ids: Sequence[str]) -> list[Removed]:
        return self.run("remove", ids, list[Removed])

    @guarded
    def purge(self, queue: str, *, limit: int, ttl_ms: int, before_ms: int | None = None) -> Purged:
        return self.run("purge", (queue, limit, ttl_ms, before_ms), Purged)

    @guarded
    def submitted_within(self, period_s: float) -> int:
        seconds, microseconds = self._redis.time()
        after_ms = (seconds + microseconds / 1e6 - period_s) * 1000
        found: Any = self._redis.zcount(f"{self._prefix}jobs", after_ms, "+inf")
        return int(found)
