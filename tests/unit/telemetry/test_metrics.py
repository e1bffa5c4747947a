"""A histogram that takes many values at once tells the same as if they had come one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from taskyard.telemetry.metrics import BatchHistogram

#: On bounds, between them, and above all.
_amounts = st.lists(st.sampled_from([0, 0.5, 1, 1.5, 2, 3]) | st.floats(min_value=0, max_value=9))


def made():
    """Return a histogram, and what it tells by the names of its samples."""
    registry = CollectorRegistry()
    histogram = BatchHistogram("taken", "Taken.", ["task"], buckets=(1, 2), registry=registry)

    def told():
        (family,) = registry.collect()
        return {(each.name, each.labels.get("le")): each.value for each in family.samples}

    return histogram.labels("a"), told


@given(_amounts)
def test_many_values_count_as_each_would(amounts):
    """In the bucket of each, and in the sum."""
    (at_once, told_at_once), (each, told_each) = made(), made()

    at_once.observe_all(amounts)
    for amount in amounts:
        each.observe(amount)

    assert told_at_once() == pytest.approx(told_each())
