"""The outbox of outcomes on Redis."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.redis.scripts import RedisScripts, guarded
from taskyard.store.replies import MAX_PLACES, Asked, Owed, Place

_decode = msgspec.json.Decoder(list[tuple[str, str]]).decode


class RedisReplies(RedisScripts):
    """The part of `RedisStore` that keeps the outbox of outcomes."""

    _owed: Any = None

    @guarded
    def ask_reply(self, asked: Sequence[Asked]) -> None:
        if asked:
            self.run("ask_reply", (MAX_PLACES, asked), bool)

    @guarded
    def take_replies(self, again_ms: int, limit: int) -> tuple[list[Owed], int]:
        rows, owed = self.run(
            "take_replies",
            (again_ms, limit),
            tuple[list[tuple[str, int, int, str, list[bool]]], int],
        )
        return [Owed(*row[:3], _places(*row[3:])) for row in rows], owed

    @guarded
    def replied(self, owed: Sequence[Owed]) -> None:
        if owed:
            rows = [(each.job_id, each.again_at_ms, each.places) for each in owed]
            self.run("replied", rows, bool)

    @guarded
    def await_replies(self, timeout_s: float) -> None:
        if self._owed is None:
            self._owed = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # as in redis-py
            self._owed.subscribe(f"{self._prefix}owed")
        if self._owed.get_message(timeout=timeout_s):
            while self._owed.get_message(timeout=0):
                pass  # one look serves all that are owed


def _places(text: str, are_submitters: Sequence[bool]) -> list[Place]:
    try:
        rows = zip(_decode(text), are_submitters, strict=True)
        return [Place(*row, is_submitter) for row, is_submitter in rows]
    except (msgspec.DecodeError, UnicodeError, ValueError):
        return []  # who asked cannot be told: it is given up, or it would hold up all others
