"""Replies to submissions: on a channel of their own, so that one that is refused costs no submission."""

import logging
from collections.abc import Callable

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import BasicProperties

from taskyard.rabbitmq.connection import describe
from taskyard.rabbitmq.direct_replies import DirectReplies, is_direct
from taskyard.rabbitmq.outgoing import Outgoing

logger = logging.getLogger(__name__)


class Replies:
    """Sends replies; all its methods run in the connection's thread.

    A reply that RabbitMQ does not take, as it is larger than its `max_message_size`, closes the channel: it
    is lost, and the channel is opened again.

    Args:
        direct: What publishes replies without a queue.
    """

    def __init__(self, direct: DirectReplies) -> None:
        self._direct = direct
        self._connection: pika.SelectConnection | None = None
        self._channel: Channel | None = None
        self._is_open: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        """Whether replies can be sent now."""
        return self._channel is not None and bool(self._channel.is_open)

    @property
    def is_full(self) -> bool:
        """Whether so many wait already to be sent that the next ones would be lost, or fill the memory."""
        return self._direct.is_full

    def open(self, connection: pika.SelectConnection, *, is_open: Callable[[], None]) -> None:
        """Open a channel on a new connection; `is_open` is called whenever replies can be sent."""
        self._connection = connection
        self._is_open = is_open
        self._reopen()

    def lost(self) -> None:
        """Forget the connection."""
        self._connection = self._channel = None

    def send(self, reply_to: str, body: bytes, correlation_id: str | None) -> None:
        """Send a reply; `is_open` must hold."""
        if is_direct(reply_to):
            reply = Outgoing(
                queue=reply_to, body=body, id="", correlation_id=correlation_id, is_reply=True
            )
            self._direct.send([reply])
            return
        assert self._channel is not None
        properties = BasicProperties(
            content_type="application/json",
            correlation_id=correlation_id,
            app_id="taskyard",
            delivery_mode=2,
        )
        # Neither mandatory nor confirmed: a producer that is gone must not hold up the others.
        self._channel.basic_publish("", reply_to, body, properties)

    def _reopen(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._closed)
        self._channel = channel
        self._is_open()

    def _closed(self, channel: Channel, reason: BaseException) -> None:
        if self._channel is channel:
            self._channel = None
        if isinstance(reason, ChannelClosedByBroker):
            logger.error("reply lost: %s", describe(reason))
            self._reopen()
