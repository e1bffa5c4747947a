"""How the store says that it is."""

from tests.contract.jobs import HOUR_MS, LATER_MS, new_job
from tests.polling import poll


def test_an_empty_store_is_well(store):
    """Nothing is overdue; its memory is told."""
    vitals = store.vitals()

    assert (vitals.unconfirmed, vitals.overdue_s) == (0, 0)
    assert vitals.memory_bytes > 0


def test_what_is_overdue_is_told(store):
    """Jobs without a confirm, and the age of the first waiting job that nobody took."""
    store.create([new_job("a"), new_job("b"), new_job("c", delay_ms=HOUR_MS)])
    store.mark_published([("b", LATER_MS)])
    assert (store.vitals().unconfirmed, store.vitals().overdue_s) == (1, 0)

    store.create([new_job("d", delay_ms=1)])

    assert poll(lambda: 0 < store.vitals().overdue_s < 60)
    store.take_due(10)
    assert store.vitals().overdue_s == 0
