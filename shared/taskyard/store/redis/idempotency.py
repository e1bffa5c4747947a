"""Reservations of keys, on Redis: a key each, which expires."""

import hashlib
from typing import Any

import msgspec

from taskyard.store.redis.scripts import RedisScripts, guarded
from taskyard.store.replies import Reservation


class RedisIdempotency(RedisScripts):
    """What is remembered of requests that carry a key."""

    @guarded
    def reserve(self, key: str, mine: Reservation, ttl_ms: int) -> Reservation:
        text = msgspec.json.encode(mine)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(self._reservation_key(key), text, nx=True, px=ttl_ms)
        pipeline.get(self._reservation_key(key))
        found: Any = pipeline.execute()[1]
        return msgspec.json.decode(found, type=Reservation)

    @guarded
    def conclude(self, key: str, reservation: Reservation) -> None:
        text = msgspec.json.encode(reservation)
        self._redis.set(self._reservation_key(key), text, xx=True, keepttl=True)

    def _reservation_key(self, key: str) -> str:
        # A digest: a key of a stranger's choice may look like anything.
        return f"{self._prefix}request:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
