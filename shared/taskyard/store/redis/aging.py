"""Ageing on Redis."""

from collections.abc import Mapping, Sequence

import msgspec

from taskyard.store.jobs import Ready
from taskyard.store.redis.rows import rows_of
from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisAging(RedisScripts):
    """Raises ready jobs, and counts their copies."""

    @guarded
    def age(self, queue: str, step_ms: int, limit: int) -> tuple[list[Ready], bool]:
        rows, is_more = self.run("age", (queue, step_ms, limit), tuple[list[msgspec.Raw], bool])
        return rows_of(rows, Ready), is_more

    @guarded
    def raised(self, queue: str, step_ms: int, ids: Sequence[str]) -> None:
        self.run("raised", (queue, step_ms, ids), bool)

    @guarded
    def copies(self, *, recent_ms: int = 0) -> dict[str, int]:
        return dict(self.run("copies", (recent_ms,), list[tuple[str, int]]))

    @guarded
    def forget_copies(self, gone: Mapping[str, int]) -> None:
        self.run("forget_copies", list(gone.items()), bool)
