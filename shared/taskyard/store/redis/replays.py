"""Replays on Redis."""

from collections.abc import Sequence
from typing import Any

from taskyard.store.finding import PAGE_BYTES, Cursor
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts
from taskyard.store.replays import NewReplay, Replay, ReplayBatch

#: Replays that are listed.
NEWEST = 100


class RedisReplays(RedisScripts):
    """The part of `RedisStore` that keeps replays."""

    @guarded
    def add_to_replay(self, replay_id: str, found: Sequence[tuple[str, int]]) -> None:
        self.run("replay_add", (replay_id, found), int)

    @guarded
    def start_replay(self, replay: NewReplay) -> None:
        args = (replay.id, replay.request, replay.rate_per_s, replay.canary, replay.edit)
        self.run("replay_start", args, bool)

    @guarded
    def take_replays(self, limit: int, lease_ms: int) -> tuple[list[ReplayBatch], bool]:
        return self.run("take_replays", (limit, lease_ms), tuple[list[ReplayBatch], bool])

    @guarded
    def replays(self, ids: Sequence[str]) -> list[Replay]:
        return self._read_replays(ids)[0]

    @guarded
    def newest_replays(self, cursor: Cursor | None = None) -> tuple[list[Replay], Cursor | None]:
        rows: Any = self._redis.zrevrange(f"{self._prefix}replays", 0, NEWEST - 1, withscores=True)
        places = [(int(at_ms), each.decode()) for each, at_ms in rows]
        left = [place for place in places if cursor is None or place < cursor]
        found, looked = self._read_replays([each for _, each in left])
        return found, None if looked == len(left) else left[looked - 1]

    def _read_replays(self, ids: Sequence[str]) -> tuple[list[Replay], int]:
        """Return the first of these replays that there are, and how many ids that were."""
        rows = self.run("replays", (ids, PAGE_BYTES), list[tuple[str, list[str]]])
        found = [(each, dict(zip(row[::2], row[1::2], strict=True))) for each, row in rows if row]
        return [_replay(each, row) for each, row in found], len(rows)

    @guarded
    def stop_replay(self, replay_id: str) -> None:
        self.run("replay_stop", (replay_id,), str)


def _replay(replay_id: str, row: dict[str, str]) -> Replay:
    return Replay(
        id=replay_id,
        state=row["state"],  # type: ignore[arg-type]  # written by the scripts only
        request=row["filter"],
        rate_per_s=float(row["rate"]),
        canary=int(row["canary"]),
        total=int(row["total"]),
        replayed=int(row["replayed"]),
        skipped=int(row["skipped"]),
        created_at_ms=int(row["created_at"]),
        finished_at_ms=int(row["finished_at"]) if "finished_at" in row else None,
        reason=row.get("reason", ""),
    )
