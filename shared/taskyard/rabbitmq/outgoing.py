"""A message on its way to RabbitMQ: the check of its texts, and its AMQP properties."""

import time
from typing import Any

from msgspec import Struct
from pika.spec import BasicProperties

from taskyard.errors import Unpublishable
from taskyard.rabbitmq.properties import MAX_PROPERTY_BYTES, property_text

#: Headers of a dead letter, and of a later attempt.
Headers = dict[str, Any]


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message to publish: to a work queue, or (`is_dead`) to its dead-letter queue.

    A reply (`is_reply`) goes to a producer's queue, which is never declared and need not exist.
    """

    queue: str
    body: bytes
    id: str
    task: str = ""
    priority: int = 0
    headers: Headers | None = None
    correlation_id: str | None = None
    content_type: str = "application/json"
    is_dead: bool = False
    is_reply: bool = False
    #: As they are, instead of those made of the fields above: a message that goes back as it came.
    properties: BasicProperties | None = None


def check_texts(message: Outgoing) -> None:
    """Refuse here what would break the connection that all callers share.

    Raises:
        Unpublishable: If a name or id is longer than AMQP allows.
    """
    for name, text in (
        ("queue", message.queue),
        ("id", message.id),
        ("correlation_id", message.correlation_id or ""),
    ):
        if property_text(text) != text:
            raise Unpublishable(f"{name} {text[:50]!r}… is longer than {MAX_PROPERTY_BYTES} bytes")


def amqp_properties(message: Outgoing) -> BasicProperties:
    """Return the AMQP properties of a persistent message, with the time of now."""
    return BasicProperties(
        content_type=property_text(message.content_type),
        headers=message.headers,
        delivery_mode=2,
        priority=message.priority,
        correlation_id=message.correlation_id,
        message_id=message.id,
        timestamp=int(time.time()),
        type=property_text(message.task),
        app_id="taskyard",
    )
