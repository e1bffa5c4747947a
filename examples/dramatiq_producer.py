"""Submit a job with stock Dramatiq; usage: python examples/dramatiq_producer.py [a] [b].

It needs dramatiq and pika only, nothing of taskyard. BROKER_URL says where RabbitMQ is.
"""

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker


class Producer(RabbitmqBroker):
    """A broker that declares no queues: those of taskyard have other arguments than Dramatiq's."""

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Remember the queue; taskyard's worker has made it."""
        self.queues.add(queue_name)


url = os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/")
broker = Producer(url=url, confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="default")
def background_task(a: float, b: float) -> None:
    """Stand for the task of this name, which runs on taskyard's worker."""


def main() -> None:
    """Send one job and print its id."""
    numbers = [float(text) for text in sys.argv[1:3]] or [1, 2]
    # No delay=…: Dramatiq would send it to a queue of its own, which nobody reads.
    message = background_task.send_with_options(args=numbers, max_retries=2, broker_priority=5)
    broker.close()
    print(message.message_id)


if __name__ == "__main__":
    main()
