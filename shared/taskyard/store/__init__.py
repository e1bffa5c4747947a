"""The state store: a protocol, its types by topic, an implementation for each scheme of `RESULT_BACKEND`."""

from taskyard.config import Settings
from taskyard.store.protocol import JobStore


def open_store(settings: Settings, *, hint: str = "") -> JobStore:
    """Return the store of `settings.result_backend`; it connects when it is first used.

    Args:
        settings: Where it is.
        hint: What errors say at their end if it does not answer.
    """
    from taskyard.store.redis import RedisStore  # only who opens a store pays for its client

    return RedisStore(
        settings.result_backend,
        prefix=settings.key_prefix,
        timeout_s=settings.store_timeout_s,
        result_ttl_s=settings.result_ttl,
        tls=settings.tls,
        hint=hint,
    )


__all__ = ["JobStore", "open_store"]
