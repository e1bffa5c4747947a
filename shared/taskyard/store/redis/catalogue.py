"""The catalogue on Redis: tasks, queues and limits that workers declare; and who works, and the server."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from taskyard.errors import ConfigurationError
from taskyard.store.controls import Limits
from taskyard.store.redis.controls import limits_text
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts


class RedisCatalogue(RedisScripts):
    """The part of `RedisStore` that keeps the catalogue, and checks the server."""

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

    @guarded
    def now_ms(self) -> int:
        seconds, micros = self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000
