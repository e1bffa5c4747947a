"""Digests that only this installation can make."""

import pytest

from taskyard.errors import StoreUnavailable
from taskyard.runtime.keyed_hash import TTL_S, KeyedHash


class Store:
    """Keeps a secret, unless it is away."""

    def __init__(self) -> None:
        self.kept = b""
        self.is_away = False

    def secret(self, offered: bytes) -> bytes:
        if self.is_away:
            raise StoreUnavailable("away")
        self.kept = self.kept or offered
        return self.kept


def test_all_processes_on_a_store_make_the_same():
    """Those on another store make others, and each purpose has its own."""
    store = Store()
    one, other = KeyedHash(store.secret), KeyedHash(store.secret)

    assert one.digest("limits", b"4711") == other.digest("limits", b"4711")
    assert one.digest("limits", b"4711") != one.digest("letters", b"4711")
    assert one.digest("limits", b"4711") != KeyedHash(Store().secret).digest("limits", b"4711")
    assert len(one.key("cursors")) == 32


def test_a_store_that_comes_back_empty_gets_its_secret_again():
    """From who has it, within a minute; while it is away, what was read holds."""
    store, now = Store(), [0.0]
    keyed = KeyedHash(store.secret, clock=lambda: now[0])
    before = keyed.digest("limits", b"4711")

    store.kept, store.is_away, now[0] = b"", True, TTL_S + 1
    assert keyed.digest("limits", b"4711") == before
    store.is_away = False
    assert keyed.digest("limits", b"4711") == before

    assert KeyedHash(store.secret).digest("limits", b"4711") == before


def test_without_the_secret_nothing_is_made():
    """A digest of another secret would stand for something else."""
    store = Store()
    store.is_away = True

    with pytest.raises(StoreUnavailable):
        KeyedHash(store.secret).digest("limits", b"4711")
