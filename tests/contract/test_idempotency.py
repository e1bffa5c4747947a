"""What is remembered of requests with a key."""

from taskyard.store.replies import Reservation

HOUR_MS = 3_600_000


def test_the_first_reservation_holds(store):
    """Whoever comes later gets it."""
    first, second = Reservation("a", "1"), Reservation("b", "2")

    assert store.reserve("k", first, HOUR_MS) == first
    assert store.reserve("k", second, HOUR_MS) == first
    assert store.reserve("other", second, HOUR_MS) == second


def test_an_answer_is_remembered(store):
    """It comes with the reservation."""
    mine = Reservation("a", "1")
    store.reserve("k", mine, HOUR_MS)

    store.conclude("k", Reservation("a", "1", "{}"))

    assert store.reserve("k", mine, HOUR_MS).answer == "{}"


def test_a_reservation_that_was_forgotten_stays_so(store):
    """An answer that comes too late makes none anew."""
    store.conclude("k", Reservation("a", "1", "{}"))

    assert store.reserve("k", Reservation("b", "2"), HOUR_MS).base_id == "2"


def test_a_store_has_one_secret(new_store):
    """The first that was offered, for all who open it; another store has another."""
    first = new_store().secret(b"\x00\xff" * 16)

    assert first == b"\x00\xff" * 16
    assert new_store().secret(b"b" * 32) == first
    assert new_store(is_fresh=True).secret(b"b" * 32) == b"b" * 32
