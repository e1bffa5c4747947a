"""The same jobs for a stock Dramatiq worker: no results, no state."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.noop_tasks import write_stamp

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BROKER_URL"]))


@dramatiq.actor(queue_name="bench_dramatiq")
def noop() -> None:
    """Do nothing."""


@dramatiq.actor(queue_name="bench_dramatiq")
def stamp(name: str) -> None:
    """Write the time into a file of the benchmark's folder."""
    write_stamp(name)
