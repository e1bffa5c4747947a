"""Answers to submitters on Redis: reservations, a key each that expires, and the outbox of outcomes."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts
from taskyard.store.replies import (
    MAX_RECIPIENTS,
    OwedReply,
    ReplyAddress,
    ReplyRequest,
    Reservation,
)

_decode = msgspec.json.Decoder(list[tuple[str, str]]).decode


class RedisReplies(RedisScripts):
    """The part of `RedisStore` that keeps answers for submitters."""

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

    @guarded
    def request_replies(self, requests: Sequence[ReplyRequest]) -> None:
        if requests:
            self.run("request_replies", (MAX_RECIPIENTS, requests), bool)

    @guarded
    def take_replies(self, again_ms: int, limit: int) -> tuple[list[OwedReply], int]:
        rows, owed = self.run(
            "take_replies",
            (again_ms, limit),
            tuple[list[tuple[str, int, int, str, list[bool]]], int],
        )
        return [OwedReply(*row[:3], _places(*row[3:])) for row in rows], owed

    @guarded
    def mark_replied(self, owed: Sequence[OwedReply]) -> None:
        if owed:
            rows = [(each.job_id, each.again_at_ms, each.recipients) for each in owed]
            self.run("mark_replied", rows, bool)

    def _reservation_key(self, key: str) -> str:
        # A digest: an idempotency key is untrusted input.
        return f"{self._prefix}request:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _places(text: str, are_submitters: Sequence[bool]) -> list[ReplyAddress]:
    try:
        rows = zip(_decode(text), are_submitters, strict=True)
        return [ReplyAddress(*row, is_submitter) for row, is_submitter in rows]
    except (msgspec.DecodeError, UnicodeError, ValueError):
        return []  # its recipients cannot be read: it is given up, or it would hold up all others
