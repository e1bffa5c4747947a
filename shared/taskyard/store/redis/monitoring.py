"""What is watched of Redis: counts, its memory, changes of states as they happen, and wake-up calls."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.monitoring import EventSubscription, QueueCounts, Transition, Vitals, Work
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts

#: A call returns what it has when there are so many.
BATCH_EVENTS = 500
#: The channel that announces each kind of work.
CHANNELS: dict[Work, str] = {"due_jobs": "due", "replies": "owed"}
_decode = msgspec.msgpack.Decoder(list[Transition]).decode


class RedisMonitoring(RedisScripts):
    """The part of `RedisStore` that is watched; scripts announce states only while somebody listens."""

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
    def submitted_within(self, period_s: float) -> int:
        seconds, microseconds = self._redis.time()
        after_ms = (seconds + microseconds / 1e6 - period_s) * 1000
        found: Any = self._redis.zcount(f"{self._prefix}jobs", after_ms, "+inf")
        return int(found)

    @guarded
    def vitals(self) -> Vitals:
        unconfirmed, overdue_ms = self.run("vitals", (), tuple[int, int])
        memory: Any = self._redis.info("memory")
        return Vitals(
            unconfirmed=unconfirmed,
            overdue_s=overdue_ms / 1000,
            memory_bytes=memory.get("used_memory", 0),
            memory_limit_bytes=memory.get("maxmemory", 0),
        )

    @guarded
    def subscribe(self) -> EventSubscription:
        pubsub: Any = self._redis.pubsub(ignore_subscribe_messages=False)  # type: ignore[no-untyped-call]  # as in redis-py
        pubsub.subscribe(f"{self._prefix}states")
        pubsub.get_message(timeout=1)  # the subscription itself: from here on nothing is missed
        return _Subscription(self, pubsub)

    @guarded
    def heard(self, pubsub: Any, timeout_s: float) -> list[Transition]:
        """Return what a subscription has heard."""
        found: list[Transition] = []
        while len(found) < BATCH_EVENTS:
            message = pubsub.get_message(timeout=0 if found else timeout_s)
            if message is None:
                break
            if message["type"] == "message":
                found += _decode(message["data"])
        return found

    @guarded
    def await_work(self, kind: Work, timeout_s: float) -> None:
        calls = self._wake_ups.get(kind)
        if calls is None:
            calls = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # as in redis-py
            calls.subscribe(f"{self._prefix}{CHANNELS[kind]}")
            self._wake_ups[kind] = calls
        if calls.get_message(timeout=timeout_s):
            while calls.get_message(timeout=0):
                pass  # one look serves all who have called


class _Subscription:
    def __init__(self, store: RedisMonitoring, pubsub: Any) -> None:
        self._store = store
        self._pubsub = pubsub

    def get(self, timeout_s: float) -> Sequence[Transition]:
        return self._store.heard(self._pubsub, timeout_s)

    def close(self) -> None:
        self._pubsub.close()
