"""Leases after a time in which Redis, or every scheduler, was away."""

from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisOutages(RedisScripts):
    """Extends the leases that nobody could extend."""

    @guarded
    def forgive_outage(self, gap_ms: int, grace_ms: int) -> bool:
        return self.run("forgive_outage", (gap_ms, grace_ms), bool)
