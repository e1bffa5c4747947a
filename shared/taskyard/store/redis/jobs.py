"""Jobs on their way through Redis: recorded, changed, cancelled, removed."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from taskyard.errors import InTheWay, StoreFault, StoreUnavailable
from taskyard.message import revise
from taskyard.store.jobs import (
    Cancelled,
    Change,
    Changed,
    Created,
    NewJob,
    Purged,
    Recorded,
    Removed,
)
from taskyard.store.redis.failures import fault, guarded
from taskyard.store.redis.scripts import RedisScripts

#: Others may change the same job at the same time; each try loses to one of them.
TRIES = 20


class RedisJobs(RedisScripts):
    """The part of `RedisStore` that records jobs, and changes and removes them on request."""

    @guarded
    def create(self, jobs: Sequence[NewJob]) -> list[Recorded]:
        rows = [
            (
                job.id,
                job.task,
                job.queue,
                job.priority,
                job.body,
                job.delay_ms,
                job.run_at_ms,
                job.attempts_made,
                job.created_at_ms,
                *((u.lock, u.lock_ms, u.policy) if (u := job.unique) else (None, 0, "")),
                job.reach,
                job.reply_to,
                job.correlation_id,
            )
            for job in jobs
        ]
        created = self.run("create", rows, list[Created | str])
        return [_recorded(each) for each in created]

    @guarded
    def withdraw(self, ids: Sequence[str], *, published: Sequence[str] = ()) -> list[str]:
        return self.run("withdraw", (ids, published), list[str])

    @guarded
    def replace(self, ids: Sequence[str]) -> None:
        self.run("replace", (self._keep_ms, ids), bool)

    @guarded
    def cancel(self, ids: Sequence[str], ttl_ms: int) -> list[Cancelled]:
        return self.run("cancel", (ttl_ms, ids), list[Cancelled])

    @guarded
    def change(self, job_id: str, change: Change) -> Changed:
        for _ in range(TRIES):
            body: Any = self._redis.hget(f"{self._prefix}j:{job_id}", "body")
            if body is None:
                return Changed("unknown", "")
            try:
                old = body.decode()
                new = revise(old, priority=change.priority, args=change.args, kwargs=change.kwargs)
            except (msgspec.MsgspecError, ValueError, LookupError, TypeError) as error:
                text = f"job {job_id!r} cannot be changed: its record is damaged: {error}"
                raise StoreFault(text) from error
            args = (job_id, old, new, change.priority, change.run_at_ms, change.delay_ms)
            verdict, state = self.run("change", args, tuple[_Verdict, str])
            if verdict != "again":
                return Changed(verdict, state)
        raise StoreUnavailable(f"job {job_id!r} is being changed by too many at once")

    @guarded
    def remove(self, ids: Sequence[str]) -> list[Removed]:
        return self.run("remove", ids, list[Removed])

    @guarded
    def purge(self, queue: str, *, limit: int, ttl_ms: int, before_ms: int | None = None) -> Purged:
        return self.run("purge", (queue, limit, ttl_ms, before_ms), Purged)

    @guarded
    def prune(self, limit: int) -> int:
        return self.run("prune", (limit,), int)


_Verdict = Literal["changed", "too_late", "unknown", "again"]


def _recorded(each: Created | str) -> Recorded:
    if isinstance(each, Created):
        return each
    return fault(each) if each else InTheWay()
