"""API keys as the store keeps them: never the key itself, only what it can be recognised by."""

from typing import Literal

from msgspec import Struct

Added = Literal["added", "exists", "name_taken", "too_many"]


class NewKey(Struct, frozen=True, kw_only=True):
    """A key to add."""

    id: str
    #: Unique among the keys that are not revoked.
    name: str
    #: SHA-256 of the whole key, in hex.
    digest: str
    scopes: tuple[str, ...]
    #: The tasks and queues that it is bound to; empty: all.
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    #: Requests within any window of so many milliseconds; 0: no limit.
    requests: int = 0
    per_ms: int = 0


class ApiKey(NewKey, frozen=True, kw_only=True):
    """A key that there is; times in milliseconds since 1970, by the store's clock."""

    created_at_ms: int
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None
    #: True to a minute.
    last_used_at_ms: int | None = None


class KeyRing(Struct, frozen=True, kw_only=True):
    """All keys, revoked and expired ones too, by the time of their making; and the store's clock."""

    keys: list[ApiKey]
    now_ms: int


class Use(Struct, frozen=True, array_like=True):
    """One request with a key."""

    id: str
    #: Its limit; 0: not counted.
    requests: int = 0
    per_ms: int = 0
    #: Whether to write down that it was used.
    is_noted: bool = False


class Metered(Struct, frozen=True, array_like=True):
    """Requests with the key in this window, this one included, and when the next window begins."""

    used: int
    reset_ms: int
