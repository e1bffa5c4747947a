"""The index of dead letters on Redis."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.dead_letters import (
    DeadGroup,
    DeadLetter,
    DeadLetterFilter,
    Removal,
    RetryRequest,
    RetryResult,
    RetrySource,
)
from taskyard.store.finding import Cursor
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts

#: Entries that one search looks at.
SCAN_LIMIT = 2000
_Group = tuple[str, int, int, int, str]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetter).decode


class RedisDeadLetters(RedisScripts):
    """The part of `RedisStore` that keeps dead letters."""

    @guarded
    def index_dead_letters(self, letters: Sequence[tuple[DeadLetter, str]]) -> None:
        if letters:
            self.run("index_dead_letters", [_row(letter, body) for letter, body in letters], bool)

    @guarded
    def find_dead(
        self, wanted: DeadLetterFilter, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[tuple[str, int]], Cursor | None]:
        texts = (wanted.queue, wanted.task, wanted.reason, wanted.error_type, wanted.fingerprint)
        times = (wanted.after_ms, wanted.before_ms, *(cursor or (0, "")))
        args = (*texts, wanted.jobs_only, *times, limit, SCAN_LIMIT)
        found, at_ms, last = self.run("find_dead", args, tuple[list[tuple[str, int]], int, str])
        return found, (at_ms, last) if last else None

    @guarded
    def dead_letters(self, ids: Sequence[str]) -> list[DeadLetter | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for each in ids:
            pipeline.hget(f"{self._prefix}d:{each}", "document")
        return [_decode(text) if text else None for text in pipeline.execute()]

    @guarded
    def dead_groups(
        self, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[DeadGroup], Cursor | None]:
        args = (*(cursor or (0, "")), limit)
        rows, at_ms, last = self.run("dead_groups", args, tuple[list[_Group], int, str])
        groups = [
            DeadGroup(
                fingerprint=fingerprint,
                count=count,
                first_seen_ms=first,
                last_seen_ms=seen,
                example=_decode(text),
            )
            for fingerprint, count, first, seen, text in rows
        ]
        return groups, (at_ms, last) if last else None

    @guarded
    def dead_counts(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        counted, gone = self.run("dead_counts", (), tuple[list[str], list[tuple[str, int]]])
        counts: dict[tuple[str, str], int] = {}
        for field, count in zip(counted[::2], counted[1::2], strict=True):
            queue, _, reason = field.rpartition("|")
            counts[queue, reason] = int(count)
        return counts, dict(gone)

    @guarded
    def retry_sources(self, ids: Sequence[str]) -> list[RetrySource]:
        return self.run("retry_sources", ids, list[RetrySource])

    @guarded
    def retry(self, jobs: Sequence[RetryRequest], *, replay_id: str = "") -> list[RetryResult]:
        return self.run("retry", (replay_id, jobs), list[RetryResult]) if jobs else []

    @guarded
    def purge_dead(self, ids: Sequence[str], *, keep_records: bool = False) -> list[str]:
        return self.run("purge_dead", (keep_records, ids), list[str])

    @guarded
    def removals(self, limit: int) -> list[Removal]:
        return self.run("removals", (limit,), list[Removal])

    @guarded
    def removed(self, removals: Sequence[Removal]) -> None:
        self.run("removed", removals, bool)

    @guarded
    def unindexed(self, messages: Sequence[tuple[str, int]]) -> list[str]:
        return self.run("unindexed", messages, list[str])

    @guarded
    def forget_dead(self, queue: str, letters: Sequence[tuple[str, int]]) -> int:
        return self.run("forget_dead", (queue, letters), int)

    @guarded
    def dead_bytes(self) -> dict[str, int]:
        found: Any = self._redis.hgetall(f"{self._prefix}dead:bytes")
        return {queue.decode(): int(size) for queue, size in found.items()}

    @guarded
    def overdue_dead(
        self, queue: str, *, ttl_ms: int, max_count: int, max_bytes: int, limit: int
    ) -> list[str]:
        return self.run("overdue_dead", (queue, ttl_ms, max_count, max_bytes, limit), list[str])


def _row(letter: DeadLetter, body: str) -> tuple[Any, ...]:
    return (
        letter.id,
        letter.queue,
        letter.reason,
        letter.fingerprint,
        letter.failed_at_ms,
        letter.attempts,
        letter.task,
        letter.error_type,
        letter.is_job,
        _encode(letter).decode(),
        body if letter.is_job else "",
        letter.priority,
        letter.first_failed_at_ms,
        letter.kept_bytes,
    )
