"""Notices that RabbitMQ has forgotten a consumer, as it may where a cluster was split.

The connection lives and nothing fails then: the queue has messages, and this consumer gets none of them for
as long as it is there. So a queue that has given nothing for some time is asked what it has.
"""

import logging
from collections.abc import Callable
from typing import Any

from pika.channel import Channel
from pika.exceptions import AMQPHeartbeatTimeout

from taskyard.rabbitmq.connection import AmqpConnection

logger = logging.getLogger(__name__)

#: How often a queue is asked that gives nothing. Seconds.
LOOK_S = 5.0
#: So many times in turn it has something and gives nothing, or does not answer.
PATIENCE = 3


class Silence:
    """Looks after one channel: ends it if its queue gives nothing of what it has, so that another is opened.

    Args:
        queue: The queue.
        is_waiting: Whether it could give something, or has not answered a request of ours.
        deliveries: How many it has given on the channel.
    """

    def __init__(
        self, queue: str, *, is_waiting: Callable[[], bool], deliveries: Callable[[], int]
    ) -> None:
        self._queue = queue
        self._is_waiting = is_waiting
        self._deliveries = deliveries
        self._channel: Channel | None = None
        self._seen = 0
        self._doubts = 0
        self._is_answered = True

    def begin(self, connection: AmqpConnection, channel: Channel) -> None:
        """Look after this channel from now on, and no more after any other."""
        self._channel = channel
        self._seen = self._doubts = 0
        self._is_answered = True
        connection.ioloop.call_later(LOOK_S, lambda: self._look(connection, channel))

    def _look(self, connection: AmqpConnection, channel: Channel) -> None:
        if channel is not self._channel or not channel.is_open:
            return
        if self._deliveries() != self._seen or not self._is_waiting():
            self._seen, self._doubts = self._deliveries(), 0
        elif not self._is_answered:
            self._doubts += 1
        if self._doubts >= PATIENCE:
            self._end(connection, channel)
            return
        if self._is_answered and self._is_waiting():
            self._is_answered = False
            channel.queue_declare(self._queue, passive=True, callback=self._answered)
        connection.ioloop.call_later(LOOK_S, lambda: self._look(connection, channel))

    def _answered(self, found: Any) -> None:
        self._is_answered = True
        has_some = found.method.message_count > 0 and self._deliveries() == self._seen
        self._doubts = self._doubts + 1 if has_some else 0

    def _end(self, connection: AmqpConnection, channel: Channel) -> None:
        logger.warning(
            "queue gives nothing of what it has, or does not answer: it is consumed anew",
            extra={"queue": self._queue},
        )
        if self._is_answered:
            channel.close()
        else:  # it would not answer that either
            connection.abort(AMQPHeartbeatTimeout(f"queue {self._queue!r} does not answer"))
