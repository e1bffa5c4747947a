"""Replays on Redis."""

from collections.abc import Sequence

from taskyard.store.redis.scripts import RedisScripts, guarded
from taskyard.store.replays import NewReplay, Replay, ReplayBatch


class RedisReplays(RedisScripts):
    """`ReplayStore` on Redis."""

    @guarded
    def add_to_replay(self, replay_id: str, found: Sequence[tuple[str, int]]) -> None:
        self.run("replay_add", (replay_id, found), int)

    @guarded
    def start_replay(self, replay: NewReplay) -> None:
        args = (replay.id, replay.asked, replay.rate_per_s, replay.canary, replay.edit)
        self.run("replay_start", args, bool)

    @guarded
    def take_replays(self, limit: int, lease_ms: int) -> tuple[list[ReplayBatch], bool]:
        return self.run("take_replays", (limit, lease_ms), tuple[list[ReplayBatch], bool])

    @guarded
    def replays(self, ids: Sequence[str] = ()) -> list[Replay]:
        rows = self.run("replays", ids, list[tuple[str, list[str]]])
        return [_replay(each, dict(zip(row[::2], row[1::2], strict=True))) for each, row in rows]

    @guarded
    def stop_replay(self, replay_id: str) -> None:
        self.run("replay_stop", (replay_id,), str)


def _replay(replay_id: str, row: dict[str, str]) -> Replay:
    return Replay(
        id=replay_id,
        state=row["state"],  # type: ignore[arg-type]  # written by the scripts only
        asked=row["filter"],
        rate_per_s=float(row["rate"]),
        canary=int(row["canary"]),
        total=int(row["total"]),
        replayed=int(row["replayed"]),
        skipped=int(row["skipped"]),
        created_at_ms=int(row["created_at"]),
        finished_at_ms=int(row["finished_at"]) if "finished_at" in row else None,
        reason=row.get("reason", ""),
    )
