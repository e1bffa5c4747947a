"""The states of jobs, as the scripts tell them on a channel of Redis while somebody listens."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.monitoring import Subscription, Transition
from taskyard.store.redis.scripts import RedisScripts, guarded

#: A call returns what it has when there are so many.
BATCH_EVENTS = 500
_decode = msgspec.msgpack.Decoder(list[Transition]).decode


class RedisEvents(RedisScripts):
    """Telling while it happens; the scripts look whether anybody listens before they tell."""

    @guarded
    def subscribe(self) -> Subscription:
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


class _Subscription:
    def __init__(self, store: RedisEvents, pubsub: Any) -> None:
        self._store = store
        self._pubsub = pubsub

    def get(self, timeout_s: float) -> Sequence[Transition]:
        return self._store.heard(self._pubsub, timeout_s)

    def close(self) -> None:
        self._pubsub.close()
