"""`JobStore` on Redis 7 or Valkey: a Lua script for whatever must be atomic, MessagePack in and out.

Only here and in `lua/` are the names of keys known. One server (or one primary with replicas) is assumed,
not a cluster: a script touches keys of many jobs.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from taskyard.errors import ConfigurationError, InTheWay
from taskyard.job import TERMINAL, Job
from taskyard.store.controls import Limits
from taskyard.store.jobs import Cancelled, Created, NewJob, Ready, Recorded
from taskyard.store.monitoring import QueueCounts
from taskyard.store.redis.aging import RedisAging
from taskyard.store.redis.attempts import RedisAttempts
from taskyard.store.redis.audit import RedisAudit
from taskyard.store.redis.audit_log import RedisAuditLog
from taskyard.store.redis.controls import RedisControls, limits_text
from taskyard.store.redis.dead_letters import RedisDeadLetters
from taskyard.store.redis.events import RedisEvents
from taskyard.store.redis.explaining import RedisExplaining
from taskyard.store.redis.finding import RedisFinding
from taskyard.store.redis.idempotency import RedisIdempotency
from taskyard.store.redis.keys import RedisKeys
from taskyard.store.redis.outages import RedisOutages
from taskyard.store.redis.removal import RedisRemoval
from taskyard.store.redis.replays import RedisReplays
from taskyard.store.redis.replies import RedisReplies
from taskyard.store.redis.rows import rows_of
from taskyard.store.redis.schedules import RedisSchedules
from taskyard.store.redis.scripts import fault, guarded
from taskyard.store.redis.vitals import RedisVitals
from taskyard.store.redis.waiting import RedisWaiting

#: A waiter looks again this often, in case the announcement was lost with its connection. Seconds.
RECHECK_S = 2.0
#: Messages of jobs that one call hands over take so much at most, but for a single one: 60 ms in which Redis
#: serves nobody else.
TAKE_BYTES = 4 * 1024 * 1024


class RedisStore(
    RedisAttempts,
    RedisControls,
    RedisSchedules,
    RedisDeadLetters,
    RedisReplays,
    RedisFinding,
    RedisWaiting,
    RedisAudit,
    RedisAuditLog,
    RedisEvents,
    RedisIdempotency,
    RedisKeys,
    RedisRemoval,
    RedisOutages,
    RedisReplies,
    RedisVitals,
    RedisExplaining,
    RedisAging,
):
    """The store behind a `redis://` URL: jobs, their catalogue and their workers."""

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
    def mark_published(self, jobs: Sequence[tuple[str, int]]) -> None:
        if jobs:
            self.run("mark_published", jobs, bool)

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
    def wait(self, job_id: str, timeout_s: float) -> Job | None:
        deadline = time.monotonic() + timeout_s
        pubsub: Any = self._redis.pubsub(ignore_subscribe_messages=False)  # type: ignore[no-untyped-call]  # as in redis-py
        with pubsub:
            pubsub.subscribe(f"{self._prefix}done:{job_id}")
            pubsub.get_message(
                timeout=timeout_s
            )  # the subscription itself: from here on nothing is missed
            while True:
                (job,) = self.get([job_id])
                left_s = deadline - time.monotonic()
                if job is None or job.state in TERMINAL or left_s <= 0:
                    return job
                pubsub.get_message(timeout=min(left_s, RECHECK_S))

    @guarded
    def cancel(self, ids: Sequence[str], ttl_ms: int) -> list[Cancelled]:
        return self.run("cancel", (ttl_ms, ids), list[Cancelled])

    @guarded
    def prune(self, limit: int) -> int:
        return self.run("prune", (limit,), int)

    @guarded
    def counts(self) -> list[QueueCounts]:
        queues, rows = self.run("counts", (), tuple[list[tuple[str, int]], list[str]])
        states: dict[str, dict[str, int]] = {queue: {} for queue, _ in queues}
        for field, count in zip(rows[::2], rows[1::2], strict=True):
            queue, _, state = field.rpartition("|")
            if int(count):
                states.setdefault(queue, {})[state] = int(count)
        ages_ms = dict(queues)
        return [
            QueueCounts(
                queue=queue,
                states=states[queue],
                oldest_pending_s=ages_ms[queue] / 1000 if ages_ms.get(queue, -1) >= 0 else None,
            )
            for queue in sorted(states)
        ]

    @guarded
    def declare(
        self,
        tasks: Sequence[dict[str, Any]],
        queues: Sequence[str],
        limits: Mapping[str, Limits] | None = None,
        *,
        lapse_s: float = 15.0,
    ) -> None:
        limits = limits or {}
        rows = [
            (
                task["name"],
                msgspec.json.encode(task).decode(),
                limits_text(limits.get(task["name"], Limits())),
            )
            for task in tasks
        ]
        self.run("declare", (round(lapse_s * 1000), rows, queues), bool)

    @guarded
    def tasks(self) -> list[dict[str, Any]]:
        rows = self._redis.hgetall(f"{self._prefix}tasks")
        return [msgspec.json.decode(rows[name]) for name in sorted(rows)]

    @guarded
    def queues(self) -> list[str]:
        names: Any = self._redis.smembers(f"{self._prefix}queues")
        return sorted(name.decode() for name in names)

    @guarded
    def workers(self) -> list[dict[str, Any]]:
        rows = self.run("workers", (), list[tuple[str, str, int, bool, int]])
        return [
            {
                "id": owner,
                **msgspec.json.decode(info),
                "last_seen_at": last_seen_at,
                "is_alive": is_alive,
                "running": running,
            }
            for owner, info, last_seen_at, is_alive, running in sorted(rows)
        ]

    @guarded
    def secret(self, offered: bytes) -> bytes:
        # A server that is full, or a replica, must not be written to where it has one already.
        key = f"{self._prefix}secret"
        found: Any = self._redis.get(key)
        if found is None:
            self._redis.set(key, offered, nx=True)
            found = self._redis.get(key)
        return bytes(found)

    @guarded
    def check(self) -> list[str]:
        try:
            config = self._redis.config_get("maxmemory*", "appendonly")
        except redis.ResponseError:
            return [
                "the server does not tell its settings: make sure of noeviction and append-only files"
            ]
        policy = config.get("maxmemory-policy", "noeviction")
        if policy != "noeviction" and config.get("maxmemory", "0") != "0":
            raise ConfigurationError(
                f"Redis has maxmemory-policy {policy}: it would throw jobs away. Set it to noeviction."
            )
        warnings = []
        if policy != "noeviction":
            warnings.append(f"Redis has maxmemory-policy {policy}: set it to noeviction")
        if config.get("appendonly") != "yes":
            warnings.append(
                "Redis has appendonly no: waiting jobs and history do not survive its restart"
            )
        return warnings

    @guarded
    def ping(self) -> None:
        self._redis.ping()


def _recorded(each: Created | str) -> Recorded:
    if isinstance(each, Created):
        return each
    return fault(each) if each else InTheWay()
