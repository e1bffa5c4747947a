"""Gauges that tell what there is now: a series for each, and none of what is gone."""

from prometheus_client import Gauge


def set_all(gauge: Gauge, values: dict[tuple[str, ...], float]) -> None:
    """Make `gauge` have these values, and no others."""
    (metric,) = gauge.collect()
    known = {tuple(sample.labels.values()) for sample in metric.samples}  # in the gauge's order
    for labels in known - values.keys():
        gauge.remove(*labels)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
