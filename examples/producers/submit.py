"""Submit a job by publishing to RabbitMQ, and print the reply; usage: python submit.py [a] [b].

It needs pika only, nothing of taskyard. BROKER_URL says where RabbitMQ is; docs/amqp.md has every field.
"""

import json
import os
import sys
import uuid

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

REPLY_QUEUE = "amq.rabbitmq.reply-to"
TIMEOUT_S = 30


def main() -> int:
    """Submit a job and print what became of it; return the exit code."""
    try:
        numbers = [float(text) for text in sys.argv[1:]] or [1, 2]
        reply = submit({"task": "background_task", "args": numbers, "tags": ["example"]})
    except (AMQPError, OSError, ValueError) as error:
        print(f"not submitted: {str(error) or repr(error)}", file=sys.stderr)
        return 1
    print(reply.decode())
    return 0 if json.loads(reply)["status"] == "accepted" else 1


def submit(submission: dict[str, object]) -> bytes:
    """Return the reply; raise if RabbitMQ does not take the message or nobody replies."""
    url = os.environ.get("BROKER_URL", "amqp://guest:guest@127.0.0.1:5672/")
    replies: list[bytes] = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_consume(
            REPLY_QUEUE, lambda *delivery: replies.append(delivery[3]), auto_ack=True
        )
        publish(channel, json.dumps(submission).encode())
        if not replies:
            connection.process_data_events(time_limit=TIMEOUT_S)
    if not replies:
        raise TimeoutError("no reply: is a scheduler running?")
    return replies[0]


def publish(channel: pika.channel.Channel, body: bytes) -> None:
    """Return once RabbitMQ has confirmed the message."""
    properties = pika.BasicProperties(
        message_id=str(uuid.uuid4()),  # the job's id: published again, it is the same job
        content_type="application/json",
        delivery_mode=2,  # kept when RabbitMQ restarts
        reply_to=REPLY_QUEUE,
    )
    try:
        channel.basic_publish(
            exchange="taskyard.submit",
            routing_key="",  # the task's own queue
            body=body,
            properties=properties,
            mandatory=True,  # returned, instead of dropped, where no queue takes it
        )
    except UnroutableError as error:
        raise OSError(f"not routed: {error.messages[0].method.reply_text}") from error
    except NackError as error:
        raise OSError("not confirmed: RabbitMQ refused the message") from error


if __name__ == "__main__":
    sys.exit(main())
