"""Limits, pauses and the wake-up call of the dispatcher, on Redis."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from taskyard.store.controls import Kind, LimitKind, Limits, TaskLimits
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts


class RedisControls(RedisScripts):
    """What an operator changes while jobs run."""

    @guarded
    def set_limits(
        self, task: str, limits: Limits | None, *, keep: Collection[LimitKind] = ()
    ) -> None:
        # "No limits" is a setting too: it wins over what is declared.
        text = "" if limits is None else limits_text(limits) or "0|0|0"
        self.run("set_limits", (task, text, "concurrency" in keep, "rate" in keep), bool)

    @guarded
    def limits_of(self, task: str) -> TaskLimits:
        pipeline = self._redis.pipeline(transaction=True)
        for by in ("set", "declared"):
            pipeline.hget(f"{self._prefix}limits_{by}", task)
        own, declared = (
            None if text is None else _limits(text.decode()) for text in pipeline.execute()
        )
        return TaskLimits(own, declared or Limits())

    @guarded
    def limits(self) -> dict[str, Limits]:
        rows: Any = self._redis.hgetall(f"{self._prefix}limits")
        return {task.decode(): _limits(text.decode()) for task, text in rows.items()}

    @guarded
    def pause(self, kind: Kind, name: str, document: Mapping[str, Any]) -> bool:
        return self.run("pause", (kind, name, msgspec.json.encode(document).decode()), bool)

    @guarded
    def resume(self, kind: Kind, name: str) -> bool:
        return self.run("pause", (kind, name, ""), bool)

    @guarded
    def pauses(self, kind: Kind) -> dict[str, dict[str, Any]]:
        rows: Any = self._redis.hgetall(f"{self._prefix}paused")
        found = {field.decode().partition("|")[::2]: text for field, text in rows.items()}
        return {
            name: msgspec.json.decode(text)
            for (k, name), text in sorted(found.items())
            if k == kind
        }


def limits_text(limits: Limits) -> str:
    """Return limits as they are kept; an empty text for none."""
    return f"{limits.concurrency}|{limits.starts}|{limits.per_ms}" if limits else ""


def _limits(text: str) -> Limits:
    concurrency, starts, per_ms = map(int, text.split("|"))
    return Limits(concurrency=concurrency, starts=starts, per_ms=per_ms)
