"""API keys in the store: added, looked up, revoked, forgotten, counted."""

import pytest

from taskyard.store.finding import Filter
from taskyard.store.keys import Metered, NewKey, Use
from tests.contract import jobs
from tests.polling import poll

HOUR_MS = 3_600_000


def new(number=1, **fields):
    """Return a key to add."""
    given = {"name": f"key-{number}", "scopes": ("jobs:read",), "digest": f"{number:064x}"}
    return NewKey(id=f"{number:012x}", **{**given, **fields})


def add(store, key, **fields):
    return store.add_key(key, **{"max_keys": 10, **fields})


def ring(store):
    return {key.id: key for key in store.key_ring().keys}


def test_a_key_is_there_with_all_that_it_was_given(store, new_store):
    """For every process, in the order of their making, with the store's times."""
    full = new(2, tasks=("a",), queues=("q", "r"), requests=5, per_ms=1000)
    assert add(store, full, ttl_ms=HOUR_MS) == "added"
    poll(lambda: store.now_ms() > store.key_ring().keys[0].created_at_ms)
    assert add(store, new(1)) == "added"

    found = new_store().key_ring()
    first = found.keys[0]
    assert [key.id for key in found.keys] == [full.id, new(1).id]
    assert (full.digest, full.scopes, ("a",), ("q", "r")) == (
        first.digest,
        first.scopes,
        first.tasks,
        first.queues,
    )
    assert (first.requests, first.per_ms) == (5, 1000)
    assert first.created_at_ms + HOUR_MS == first.expires_at_ms
    assert 0 <= found.now_ms - first.created_at_ms < HOUR_MS
    assert (first.revoked_at_ms, first.last_used_at_ms) == (None, None)
    assert found.keys[1].expires_at_ms is None


def test_a_key_that_is_there_stays_as_it_is(store):
    """The same id twice is one key."""
    add(store, new(1))

    assert add(store, new(1, name="other", scopes=("admin",))) == "exists"
    assert [key.scopes for key in store.key_ring().keys] == [("jobs:read",)]


def test_names_are_unique_among_keys_that_are_not_revoked(store):
    """A name tells who it was: it is free again when its key is revoked, or replaced on purpose."""
    add(store, new(1, name="ci"))
    assert add(store, new(2, name="ci")) == "name_taken"

    store.revoke_keys([new(1).id])
    assert add(store, new(2, name="ci")) == "added"

    assert add(store, new(3, name="ci"), is_replacing=True) == "added"
    revoked = {key.id: key.revoked_at_ms is not None for key in store.key_ring().keys}
    assert revoked == {new(1).id: True, new(2).id: True, new(3).id: False}


def test_the_name_of_an_expired_key_is_free(store):
    """Nobody can use that key any more."""
    add(store, new(1, name="ci"), ttl_ms=1)

    poll(lambda: add(store, new(2, name="ci")) == "added")


def test_there_are_no_more_keys_than_allowed(store):
    """They are all read at once, so they stay few."""
    assert add(store, new(1), max_keys=1) == "added"
    assert add(store, new(2), max_keys=1) == "too_many"


def test_revoking_is_told_once(store):
    """The time of the first revocation stays, and a stranger's id is no key."""
    add(store, new(1))

    assert store.revoke_keys([new(1).id, "nobody"]) == [new(1).id]
    at_ms = ring(store)[new(1).id].revoked_at_ms
    assert store.revoke_keys([new(1).id]) == []
    assert ring(store)[new(1).id].revoked_at_ms == at_ms


def test_only_what_is_revoked_or_expired_is_forgotten(store):
    """A key that is in use stays."""
    add(store, new(1))
    add(store, new(2), ttl_ms=1)
    add(store, new(3))
    store.revoke_keys([new(3).id])

    gone = []

    def are_both_gone():
        gone.extend(store.forget_keys([new(1).id, new(2).id, new(3).id, "nobody"]))
        return len(gone) >= 2

    poll(are_both_gone)
    assert sorted(gone) == [new(2).id, new(3).id]
    assert list(ring(store)) == [new(1).id]
    assert add(store, new(4, name=new(3).name)) == "added"


def test_a_use_is_noted(store):
    """Of keys that there are, when it is asked for."""
    add(store, new(1))
    add(store, new(2))

    store.use_keys([Use(new(1).id, is_noted=True), Use(new(2).id), Use("nobody", is_noted=True)])

    found = ring(store)
    assert found[new(1).id].last_used_at_ms is not None
    assert found[new(2).id].last_used_at_ms is None
    assert len(found) == 2


def test_requests_are_counted_in_windows(store, new_store):
    """Over all processes, until a window is over; what is refused is counted no further."""
    limited = Use(new(1).id, 2, HOUR_MS)

    assert [metered.used for metered in store.use_keys([limited] * 4)] == [1, 2, 3, 3]
    (metered,) = new_store().use_keys([limited])
    assert metered.used == 3
    assert 0 < metered.reset_ms <= HOUR_MS
    assert store.use_keys([Use(new(2).id, 2, HOUR_MS)])[0].used == 1
    assert store.use_keys([Use(new(3).id)]) == [Metered(0, 0)]


def test_a_window_ends(store):
    """Then all of it is free again."""
    limited = Use(new(1).id, 1, 50)
    store.use_keys([limited, limited])

    poll(lambda: store.use_keys([limited])[0].used == 1)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"queues": ("q", "r")}, {"1", "2"}),
        ({"tasks": ("add",)}, {"1", "3"}),
        ({"tasks": ("add", "mul"), "queues": ("q",)}, {"1"}),
        ({"tasks": ("add",), "task": "mul"}, set()),
        ({"queues": ("q",), "queue": "r"}, set()),
    ],
)
def test_jobs_are_found_within_what_a_key_is_bound_to(store, wanted, ids):
    """Listed and counted: of one of these tasks, in one of these queues."""
    made = [("1", "add", "q"), ("2", "mul", "r"), ("3", "add", "s")]
    store.create([jobs.new_job(i, task=task, queue=queue) for i, task, queue in made])

    assert {job.id for job in store.find(Filter(**wanted)).jobs} == ids
    assert len(ids) == store.count(Filter(**wanted)).count
