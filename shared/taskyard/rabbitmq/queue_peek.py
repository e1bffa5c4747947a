"""Looking into RabbitMQ's queues without taking anything out: how many messages, and of which jobs."""

from collections.abc import Iterator
from contextlib import contextmanager

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.errors import BrokerUnavailable
from taskyard.message import decode
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.connection import describe
from taskyard.rabbitmq.properties import received_text
from taskyard.rabbitmq.queue_lock import LOCKED, lock
from taskyard.tls import SYSTEM_CAS, Tls

_REFUSED, _NOT_FOUND = 403, 404


class QueuePeek:
    """Looks into queues, with a connection for each look.

    Args:
        url: Where RabbitMQ is.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, *, tls: Tls = SYSTEM_CAS) -> None:
        self._url = url
        self._tls = tls

    def messages(self, queue: str, *, may_be_hidden: bool = False) -> int:
        """Return how many messages are ready; 0 if there is no such queue.

        Args:
            queue: Its name.
            may_be_hidden: 0, too, if this user has no right to know: from 4.3 on RabbitMQ asks for one.

        Raises:
            BrokerUnavailable: If RabbitMQ does not answer.
        """
        with self._channel() as channel:
            try:
                return _depth(channel, queue)
            except ChannelClosedByBroker as error:
                if may_be_hidden and error.reply_code == _REFUSED:
                    return 0
                raise

    def ids(self, queue: str, limit: int) -> set[str] | None:
        """Return the ids of the jobs whose messages are ready; None if there are more than `limit`.

        None, too, while another looks, or the queue is being moved.
        The messages are put back when the channel closes; until then no worker gets them.

        Raises:
            BrokerUnavailable: If RabbitMQ does not answer.
        """
        with self._channel() as channel:
            depth = _depth(channel, queue)
            if depth > limit or not _is_locked(channel, queue):
                return None
            found: set[str] = set()
            for _ in range(depth):
                method, properties, body = channel.basic_get(queue)
                if method is None or properties is None or body is None:
                    break
                found.add(received_text(properties.message_id) or _id(body))
            return found

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        try:
            with blocking(self._url, name="taskyard peek", tls=self._tls) as connection:
                yield connection.channel()
        except (AMQPError, OSError) as error:
            raise BrokerUnavailable(f"RabbitMQ does not answer: {describe(error)}") from error


def _depth(channel: BlockingChannel, queue: str) -> int:
    try:
        return channel.queue_declare(queue, passive=True).method.message_count
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            return 0
        raise


def _is_locked(channel: BlockingChannel, queue: str) -> bool:
    try:
        lock(channel, queue)
    except ChannelClosedByBroker as error:
        if error.reply_code == LOCKED:
            return False
        raise
    return True


def _id(body: bytes) -> str:
    try:
        return decode(body).message_id
    except ValueError:
        return ""
