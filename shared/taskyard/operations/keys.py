"""What an operator does to keys of the API: make, revoke and forget them."""

from typing import Any

from taskyard.keys import MAX_KEYS, KeyNameTaken, TooManyKeys
from taskyard.operations.actor import Actor
from taskyard.store.keys import ApiKey, NewKey


def create(actor: Actor, key: NewKey, *, ttl_ms: int | None = None) -> None:
    """Add a key; APIs accept it within a second.

    Args:
        actor: Who does it.
        key: The key, as `new_key` gives it.
        ttl_ms: How long it is valid, in milliseconds; None: for ever.

    Raises:
        KeyNameTaken: If one that is not revoked has its name.
        TooManyKeys: If there are `MAX_KEYS`.
    """
    with actor.recording("key.create", key.name) as entry:
        verdict = actor.store.add_key(key, ttl_ms=ttl_ms, max_keys=MAX_KEYS)
        if verdict == "name_taken":
            raise KeyNameTaken(key.name)
        if verdict != "added":
            raise TooManyKeys
        entry.after = {**_facts(key), "ttl_ms": ttl_ms}


def revoke(actor: Actor, key: ApiKey) -> bool:
    """Refuse a key from now on; APIs know it within a second. False if it was revoked already."""
    with actor.recording("key.revoke", key.name, before=_facts(key)) as entry:
        if not (is_done := bool(actor.store.revoke_keys([key.id]))):
            entry.void()
    return is_done


def forget(actor: Actor, key: ApiKey) -> bool:
    """Remove a key that is revoked or expired from the list; False if it is in use."""
    with actor.recording("key.forget", key.name, before=_facts(key)) as entry:
        if not (is_done := bool(actor.store.forget_keys([key.id]))):
            entry.void()
    return is_done


def _facts(key: ApiKey | NewKey) -> dict[str, Any]:
    """Return what an entry says of a key: never the key itself."""
    fields = ("scopes", "tasks", "queues")
    return {"id": key.id, **{name: list(getattr(key, name)) for name in fields}}
