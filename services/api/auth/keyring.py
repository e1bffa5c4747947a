"""The keys as this process knows them: read from the store at most a second ago."""

import hmac
import time
from collections.abc import Mapping, Sequence

from services.api.auth.errors import KeyRefused, RateLimited, WrongKey
from services.api.auth.principal import Principal
from taskyard import keys
from taskyard.errors import Unavailable
from taskyard.job import rfc3339
from taskyard.policy import limits
from taskyard.runtime.group_commit import GroupCommit
from taskyard.store import JobStore
from taskyard.store.controls import Limits
from taskyard.store.keys import ApiKey, Metered, NewKey, Use

#: How old the copy may be: so long a revoked key may still be taken. Seconds.
TTL_S = 1.0
#: A key that is not in the copy may be new: then it is read again at once, so often in a second and no more.
MAX_MISSES = 20
#: The last use of a key is written down this often. Seconds.
NOTED_EVERY_S = 60.0
#: Compared with where there is no such key, so that time does not tell.
_NOBODY = keys.digest("nobody")


class Keyring:
    """The keys of the API.

    Args:
        store: Where they are.
        first: A key that has to be there; made wherever it is missing.
        is_open: Whether requests without a key are served as long as there is none at all.
    """

    def __init__(self, store: JobStore, *, first: NewKey | None, is_open: bool) -> None:
        self._store = store
        self._first = first
        self._is_open = is_open and first is None
        # All that wait for a reading share its outcome, as with the catalogue.
        self._reading: GroupCommit[float, None] = GroupCommit(self._read)
        self._metering: GroupCommit[Use, Metered] = GroupCommit(store.use_keys)
        self._read_at = float("-inf")
        self._clock_ms = 0
        self._keys: Mapping[str, ApiKey] = {}
        self._noted_at: dict[str, float] = {}
        self._misses, self._misses_since = 0, float("-inf")

    def is_needed(self) -> bool:
        """Return whether a request without a key is refused.

        Raises:
            StoreUnavailable: If the keys cannot be read.
        """
        self._refresh(TTL_S)
        return bool(self._keys) or not self._is_open

    def may_be_needed(self) -> bool:
        """Return whether a request without a key may be refused: it is, or the keys cannot be read."""
        try:
            return self.is_needed()
        except Unavailable:
            return True

    def anonymous(self) -> Principal:
        """Return who makes a request without a key, where none is needed."""
        return Principal(holds=self._is_still_open)

    def principal(self, token: str) -> Principal:
        """Return whose key this is.

        Raises:
            WrongKey: If there is no such key.
            KeyRefused: If it is revoked or expired.
            StoreUnavailable: If the keys cannot be read.
        """
        key_id, digest = keys.token_id(token), keys.digest(token)
        self._refresh(TTL_S if key_id in self._keys else self._miss_ttl_s())
        key = self._keys.get(key_id)
        if not hmac.compare_digest(digest, key.digest if key else _NOBODY) or key is None:
            raise WrongKey("there is no such API key")
        if fault := self._fault(key):
            raise KeyRefused(f"this API key {fault}")
        return Principal(key, holds=lambda: self._holds(key))

    def meter(self, key: ApiKey) -> Metered | None:
        """Count a request with this key, and note once in a while that it is in use.

        Returns:
            How far its limit is used up; None where it has none.
        """
        now = time.monotonic()
        is_noted = now - self._noted_at.get(key.id, float("-inf")) >= NOTED_EVERY_S
        if not key.requests and not is_noted:
            return None
        if is_noted:
            self._noted_at[key.id] = now
        (metered,) = self._metering([Use(key.id, key.requests, key.per_ms, is_noted)])
        return metered if key.requests else None

    def _is_still_open(self) -> bool:
        try:
            return not self.is_needed()
        except Unavailable:
            return True  # as when the keys were last read; nothing new can be shown either

    def _holds(self, key: ApiKey) -> bool:
        try:
            self._refresh(TTL_S)
        except Unavailable:
            return True
        now = self._keys.get(key.id)
        return now is not None and not self._fault(now)

    def _fault(self, key: ApiKey) -> str:
        if key.revoked_at_ms is not None:
            return "is revoked"
        if key.expires_at_ms is not None and key.expires_at_ms <= self._now_ms():
            return f"has expired on {rfc3339(key.expires_at_ms)}"
        return ""

    def _now_ms(self) -> int:
        """Return the store's clock, as it must be by now."""
        return self._clock_ms + round((time.monotonic() - self._read_at) * 1000)

    def _miss_ttl_s(self) -> float:
        """Return how old the copy may be for a key that is not in it."""
        now = time.monotonic()
        if now - self._misses_since > 1:
            self._misses, self._misses_since = 0, now
        self._misses += 1
        return 0.0 if self._misses <= MAX_MISSES else TTL_S

    def _refresh(self, ttl_s: float) -> None:
        if self._is_old(ttl_s):
            self._reading([ttl_s])

    def _is_old(self, ttl_s: float) -> bool:
        return time.monotonic() - self._read_at > ttl_s

    def _read(self, ttls_s: Sequence[float]) -> Sequence[None]:
        if self._is_old(min(ttls_s)):
            ring = self._store.key_ring()
            if self._first is not None and all(key.id != self._first.id for key in ring.keys):
                self._store.add_key(self._first, max_keys=keys.MAX_KEYS + 1, is_replacing=True)
                ring = self._store.key_ring()
            self._keys, self._clock_ms = {key.id: key for key in ring.keys}, ring.now_ms
            self._read_at = time.monotonic()
        return [None] * len(ttls_s)


def exceeded(key: ApiKey, metered: Metered) -> RateLimited | None:
    """Return the refusal of a request that is one too many, or None."""
    if metered.used <= key.requests:
        return None
    return RateLimited(key.name, rate(key), reset_s(metered))


def rate(key: ApiKey) -> str:
    """Return a key's limit as people write it."""
    return str(limits.describe(Limits(starts=key.requests, per_ms=key.per_ms))["rate"])


def reset_s(metered: Metered) -> int:
    """Return in how many seconds the next window begins, rounded up."""
    return -(-metered.reset_ms // 1000)
