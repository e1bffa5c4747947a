"""What is remembered of requests with a key."""

from taskyard.store.idempotency import Reservation

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
