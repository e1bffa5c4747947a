"""A submission as it came from the queue, and the answer to it."""

from typing import Any

from msgspec import Struct
from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from taskyard.message import new_id
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.properties import property_text, received_text


class ReceivedSubmission(Struct, eq=False):
    """One message from the queue."""

    tag: int
    channel: Channel
    body: bytes
    #: Of the producer's choice, else ours: kept while the message is tried again.
    id: str
    priority: int | None = None
    routing_key: str = ""
    reply_to: str | None = None
    correlation_id: str | None = None
    content_type: str = "application/json"
    headers: dict[str, Any] = {}
    #: The trace context that its jobs get, and what tells of it; see `traces`.
    traceparent: str | None = None
    span: Any = None

    @property
    def delivery(self) -> object:
        """What all parts of a submission have in common."""
        return self.channel, self.tag

    def log_facts(self) -> dict[str, str]:
        """Return what every log line about it has."""
        facts = {"message_id": self.id}
        if self.traceparent is not None:
            facts["trace_id"] = self.traceparent[3:35]
        return facts


class AnsweredSubmission(Struct):
    """A submission that is dealt with, and what its producer is told if it set reply_to; empty: nothing."""

    submission: ReceivedSubmission
    reply: bytes


def received(
    channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
) -> ReceivedSubmission:
    """Return what came as a submission, whatever its properties are."""
    # From the queue of unrouted ones they come with the same exchange, or once they were moved with its own.
    is_front_door = method.exchange in (topology.SUBMIT_EXCHANGE, topology.UNROUTED)
    return ReceivedSubmission(
        tag=method.delivery_tag or 0,
        channel=channel,
        body=body,
        id=received_text(properties.message_id) or new_id(),
        priority=properties.priority,
        routing_key=received_text(method.routing_key) if is_front_door else "",
        reply_to=property_text(received_text(properties.reply_to)) or None,
        # Cut where AMQP could not take it back: an error here would end the connection.
        correlation_id=property_text(received_text(properties.correlation_id)) or None,
        content_type=received_text(properties.content_type) or "application/json",
        headers=dict(properties.headers or {}),
    )
