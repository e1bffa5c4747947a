"""How Redis is: what is overdue in it, and its memory."""

from typing import Any

from taskyard.store.monitoring import Vitals
from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisVitals(RedisScripts):
    """Tells how the store is."""

    @guarded
    def vitals(self) -> Vitals:
        unconfirmed, overdue_ms = self.run("vitals", (), tuple[int, int])
        memory: Any = self._redis.info("memory")
        return Vitals(
            unconfirmed=unconfirmed,
            overdue_s=overdue_ms / 1000,
            memory_bytes=memory.get("used_memory", 0),
            memory_limit_bytes=memory.get("maxmemory", 0),
        )
