"""Submit a job by publishing to RabbitMQ; usage: python examples/publish_job.py [a] [b].

It needs pika only, nothing of taskyard. BROKER_URL says where RabbitMQ is.
"""

import json
import os
import sys
import time
import uuid

import pika

QUEUE = "default"


def envelope(task: str, *args: object, **options: object) -> dict[str, object]:
    """Return a job as it goes over the wire; docs/protocol.md has every field."""
    return {
        "queue_name": QUEUE,
        "actor_name": task,
        "args": args,
        "kwargs": {},
        "options": options,
        "message_id": str(uuid.uuid4()),
        "message_timestamp": time.time_ns() // 1_000_000,
    }


def main() -> None:
    """Publish one job and print its id once RabbitMQ has confirmed it."""
    numbers = [float(text) for text in sys.argv[1:3]] or [1, 2]
    job = envelope("background_task", *numbers, max_retries=2, tags=["example"])
    url = os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(
            exchange="",
            routing_key=QUEUE,
            body=json.dumps(job).encode(),
            properties=pika.BasicProperties(
                message_id=str(job["message_id"]),
                type=str(job["actor_name"]),
                content_type="application/json",
                delivery_mode=2,  # kept when RabbitMQ restarts
                priority=5,
            ),
            mandatory=True,  # refused, instead of dropped, where there is no such queue
        )
    print(job["message_id"])


if __name__ == "__main__":
    main()
