"""The customers that speak AMQP: submissions with replies, and messages straight to a work queue."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, UnroutableError

from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE
from tests.nemesis import tasks
from tests.nemesis.choices import Choice
from tests.nemesis.customers import Customer

#: Short deadlines: a producer that waits tells nothing.
PARAMETERS = "?blocked_connection_timeout=4&socket_timeout=4&heartbeat=10"
RECONNECT_AFTER_S = 0.5
PAUSE_S = 0.25
#: A queue that has been silent for so long has told all for now.
SILENCE_S = 0.5


class Producer:
    """Publishes jobs, and connects again when it has to.

    Args:
        customer: Who chooses and notes.
        url: RabbitMQ's.
        replies: The queue of the replies; its owner declares it.
        pace: How much longer the pauses are than usual.
    """

    def __init__(self, customer: Customer, url: str, replies: str, pace: float) -> None:
        self._customer = customer
        self._url = url + PARAMETERS
        self._replies = replies
        self._pause_s = PAUSE_S * pace

    def submit_until(self, is_over: threading.Event) -> None:
        """Publish to the exchange for submissions, and ask for a reply at the end."""
        self._publish_until(is_over, self._submission)

    def publish_until(self, is_over: threading.Event) -> None:
        """Publish straight to a work queue, as other Dramatiq producers do."""
        self._publish_until(is_over, self._message)

    def _publish_until(
        self, is_over: threading.Event, publish: Callable[[BlockingChannel], None]
    ) -> None:
        rng = self._customer.rng
        while not is_over.is_set():
            try:
                with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
                    channel = connection.channel()
                    channel.confirm_delivery()
                    while not is_over.is_set():
                        publish(channel)
                        connection.sleep(self._pause_s * rng.uniform(0.5, 1.5))
            except (AMQPError, OSError):
                is_over.wait(RECONNECT_AFTER_S)

    def _submission(self, channel: BlockingChannel) -> None:
        choice = self._customer.chooser.choose()
        job_id = self._customer.id_of("a", choice.number)
        body = {**choice.request, "reply": "result"}
        properties = {"reply_to": self._replies, "correlation_id": job_id}
        self._publish(channel, SUBMIT_EXCHANGE, "", ("amqp", job_id, choice), body, **properties)

    def _message(self, channel: BlockingChannel) -> None:
        choice = self._customer.chooser.choose_ready()
        if choice.task == "limited":  # its queue is another
            return
        job_id = self._customer.id_of("d", choice.number)
        body = {
            "queue_name": tasks.QUEUE,
            "actor_name": choice.request["task"],
            "args": choice.args,
            "kwargs": {},
            "options": {},
            "message_id": job_id,
            "message_timestamp": round(time.time() * 1000),
        }
        self._publish(channel, "", tasks.QUEUE, ("direct", job_id, choice), body)

    def _publish(
        self,
        channel: BlockingChannel,
        exchange: str,
        key: str,
        job: tuple[str, str, Choice],
        body: Any,
        **properties: Any,
    ) -> None:
        """Publish one message, and note whether RabbitMQ has confirmed it."""
        door, job_id, choice = job
        asked_at, note = time.time(), self._customer.note
        try:
            channel.basic_publish(
                exchange,
                key,
                json.dumps(body).encode(),
                pika.BasicProperties(delivery_mode=2, message_id=job_id, **properties),
                mandatory=True,
            )
            note(door, job_id, choice, "accepted", asked_at=asked_at)
        except UnroutableError as error:
            facts = {"detail": repr(error), "is_final": True}
            note(door, job_id, choice, "refused", asked_at=asked_at, **facts)
        except (AMQPError, OSError) as error:
            note(door, job_id, choice, "unknown", asked_at=asked_at, detail=repr(error))
            raise


def take_replies(url: str, queue: str) -> list[tuple[str, str]]:
    """Return status and job of each reply in the queue, and take them away."""
    replies: list[tuple[str, str]] = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for method, properties, body in channel.consume(queue, inactivity_timeout=SILENCE_S):
            if method is None or properties is None or body is None:
                break
            replies.append((json.loads(body)["status"], str(properties.correlation_id)))
            channel.basic_ack(method.delivery_tag)
    return replies
