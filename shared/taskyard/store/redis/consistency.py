"""What tells whether every job is accounted for, on Redis."""

from collections.abc import Sequence

import msgspec

from taskyard.store.consistency import (
    OVERTAKEN_LIMIT,
    PendingCount,
    PendingCounts,
    RecordPage,
    Totals,
)
from taskyard.store.jobs import Ready
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.rows import rows_of
from taskyard.store.redis.scripts import RedisScripts

#: Ready jobs that one script call looks at: about a millisecond in which Redis serves nobody else.
STEP = 1_000
#: Running jobs of one worker that are looked at.
SAMPLE = 20


class RedisConsistency(RedisScripts):
    """The part of `RedisStore` that checks its own books."""

    @guarded
    def totals(self) -> Totals | None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hgetall(f"{self._prefix}totals")
        pipeline.hgetall(f"{self._prefix}counts")
        rows, counts = pipeline.execute()
        if b"accepted" not in rows:
            return None
        pruned = sum(int(n) for name, n in rows.items() if name.startswith(b"pruned|"))
        return Totals(
            accepted=int(rows[b"accepted"]),
            withdrawn=int(rows.get(b"withdrawn", 0)),
            pruned=pruned,
            kept=_by_state(counts),
        )

    @guarded
    def check_records(
        self, cursor: str, limit: int, *, ids: Sequence[str] = (), is_repair: bool = False
    ) -> RecordPage:
        name = "check_records" if is_repair else "view_records"
        return self.run(name, (cursor, limit, ids, is_repair), RecordPage)

    @guarded
    def count_pending(
        self, queues: Sequence[str], older_than_ms: int, *, before_ms: int = 0
    ) -> PendingCounts:
        args = (older_than_ms, before_ms, queues)
        at_ms, rows = self.run("count_pending", args, tuple[int, list[PendingCount]])
        return PendingCounts(at_ms=at_ms, rows=dict(zip(queues, rows, strict=True)))

    @guarded
    def oldest_published(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        return self.run("oldest_published", (queue, older_than_ms, limit), list[str])

    @guarded
    def oldest_overtaken(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        marks = self.run("overtaking_marks", (queue, SAMPLE), list[int])
        found: list[str] = []
        for first in range(0, OVERTAKEN_LIMIT, STEP):
            args = (queue, older_than_ms, marks, first, STEP)
            ids, is_end = self.run("oldest_overtaken", args, tuple[list[str], bool])
            found += ids
            if is_end or len(found) >= limit:
                break
        return found[:limit]

    @guarded
    def republish(self, ids: Sequence[str], older_than_ms: int = 0) -> list[Ready]:
        return rows_of(self.run("republish", (older_than_ms, ids), list[msgspec.Raw]), Ready)


def _by_state(counts: dict[bytes, bytes]) -> dict[str, int]:
    states: dict[str, int] = {}
    for field, count in counts.items():
        state = field.decode().rpartition("|")[2]
        states[state] = states.get(state, 0) + int(count)
    return {state: count for state, count in sorted(states.items()) if count}
