"""API keys on Redis: a document each, the times of revocation and last use, and a counter a window."""

from collections.abc import Sequence

import msgspec

from taskyard.store.keys import Added, ApiKey, KeyRing, Metered, NewKey, Use
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts

_Row = tuple[str, int, int, int, int]
_decode = msgspec.json.Decoder(NewKey).decode


class RedisKeys(RedisScripts):
    """The part of `RedisStore` that keeps API keys."""

    @guarded
    def add_key(
        self, key: NewKey, *, ttl_ms: int | None = None, max_keys: int, is_replacing: bool = False
    ) -> Added:
        text = msgspec.json.encode(key).decode()
        args = (key.id, key.name, text, ttl_ms or 0, max_keys, is_replacing)
        return self.run("add_key", args, Added)  # type: ignore[arg-type]  # a Literal is a type too

    @guarded
    def key_ring(self) -> KeyRing:
        now_ms, rows = self.run("key_ring", (), tuple[int, list[_Row]])
        keys = [_key(*row) for row in rows]
        return KeyRing(keys=sorted(keys, key=lambda k: (k.created_at_ms, k.id)), now_ms=now_ms)

    @guarded
    def revoke_keys(self, ids: Sequence[str]) -> list[str]:
        return self.run("revoke_keys", ids, list[str])

    @guarded
    def forget_keys(self, ids: Sequence[str]) -> list[str]:
        return self.run("forget_keys", ids, list[str])

    @guarded
    def use_keys(self, uses: Sequence[Use]) -> list[Metered]:
        return self.run("use_keys", uses, list[Metered])


def _key(text: str, created_ms: int, expires_ms: int, revoked_ms: int, used_ms: int) -> ApiKey:
    return ApiKey(
        **msgspec.structs.asdict(_decode(text)),
        created_at_ms=created_ms,
        expires_at_ms=expires_ms or None,
        revoked_at_ms=revoked_ms or None,
        last_used_at_ms=used_ms or None,
    )
