"""The outbox on Redis: jobs whose messages are to be published, those that come due, and copies by ageing."""

from collections.abc import Mapping, Sequence

import msgspec

from taskyard.store.jobs import Ready
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.rows import rows_of
from taskyard.store.redis.scripts import RedisScripts

#: Messages of jobs that one call hands over take so much at most, but for a single one: 60 ms in which Redis
#: serves nobody else.
TAKE_BYTES = 4 * 1024 * 1024


class RedisOutbox(RedisScripts):
    """The part of `RedisStore` that hands jobs over to be published."""

    @guarded
    def take_due(self, limit: int) -> tuple[list[Ready], int | None]:
        ready, next_due_ms = self.run(
            "take_due", (limit, TAKE_BYTES), tuple[list[msgspec.Raw], int]
        )
        return rows_of(ready, Ready), None if next_due_ms < 0 else next_due_ms

    @guarded
    def unpublished(self, older_than_ms: int, limit: int) -> list[Ready]:
        args = (older_than_ms, limit, self._keep_ms, TAKE_BYTES)
        return rows_of(self.run("unpublished", args, list[msgspec.Raw]), Ready)

    @guarded
    def unconfirmed(self, ids: Sequence[str]) -> list[Ready]:
        return rows_of(self.run("unconfirmed", ids, list[msgspec.Raw]), Ready)

    @guarded
    def mark_published(self, jobs: Sequence[tuple[str, int]]) -> None:
        if jobs:
            self.run("mark_published", jobs, bool)

    @guarded
    def age(self, queue: str, step_ms: int, limit: int) -> tuple[list[Ready], bool]:
        rows, is_more = self.run("age", (queue, step_ms, limit), tuple[list[msgspec.Raw], bool])
        return rows_of(rows, Ready), is_more

    @guarded
    def mark_raised(self, queue: str, step_ms: int, ids: Sequence[str]) -> None:
        self.run("mark_raised", (queue, step_ms, ids), bool)

    @guarded
    def copies(self, *, recent_ms: int = 0) -> dict[str, int]:
        return dict(self.run("copies", (recent_ms,), list[tuple[str, int]]))

    @guarded
    def forget_copies(self, gone: Mapping[str, int]) -> None:
        self.run("forget_copies", list(gone.items()), bool)
