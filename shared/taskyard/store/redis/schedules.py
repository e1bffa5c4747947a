"""Schedules on Redis: a hash each, one sorted set of when they are due, and a list of events each."""

from collections.abc import Sequence
from typing import Any

from taskyard.store.finding import PAGE_BYTES, Cursor
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts
from taskyard.store.schedules import DueSchedules, ScheduleWrite, StoredSchedule

#: Events kept of each schedule.
KEPT_EVENTS = 100


class RedisSchedules(RedisScripts):
    """The part of `RedisStore` that keeps schedules."""

    @guarded
    def schedules(self, cursor: Cursor | None = None) -> tuple[list[StoredSchedule], Cursor | None]:
        members: Any = self._redis.smembers(f"{self._prefix}schedules")
        last = "" if cursor is None else cursor[1]
        names = sorted(name for name in map(bytes.decode, members) if name > last)
        found, looked = self._read_schedules(names)
        return found, None if looked == len(names) else (0, names[looked - 1])

    @guarded
    def schedule(self, name: str) -> StoredSchedule | None:
        found, _ = self._read_schedules([name])
        return found[0] if found else None

    def _read_schedules(self, names: Sequence[str]) -> tuple[list[StoredSchedule], int]:
        """Return the first of these schedules, and how many names that were."""
        return self.run("read_schedules", (names, PAGE_BYTES), tuple[list[StoredSchedule], int])

    @guarded
    def write_schedule(self, change: ScheduleWrite) -> bool:
        row = (
            change.name,
            change.revision,
            change.spec,
            change.state,
            change.version,
            change.due_at_ms,
            list(change.events),
            KEPT_EVENTS,
        )
        return self.run("write_schedule", row, bool)

    @guarded
    def remove_schedule(self, name: str, revision: int) -> bool:
        return self.run("remove_schedule", (name, revision), bool)

    @guarded
    def due_schedules(self, limit: int) -> DueSchedules:
        return self.run("due_schedules", (limit,), DueSchedules)

    @guarded
    def schedule_events(self, name: str, limit: int) -> list[str]:
        rows: Any = self._redis.lrange(f"{self._prefix}fires:{name}", 0, limit - 1)
        return [row.decode() for row in rows]
