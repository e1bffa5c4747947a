"""What RabbitMQ's queues have, asked once: programs that stay ask `queue_depths`."""

from collections.abc import Iterable

from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.connection import describe
from taskyard.rabbitmq.queue_depths import Depth
from taskyard.runtime.tls import SYSTEM_CAS, Tls

_REFUSED = 403


class QueuePeek:
    """Asks for the depth of queues, with a connection for each call.

    Args:
        url: Where RabbitMQ is.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, *, tls: Tls = SYSTEM_CAS) -> None:
        self._url = url
        self._tls = tls

    def depths(
        self, queues: Iterable[str], *, may_be_hidden: bool = False
    ) -> dict[str, Depth | None]:
        """Return the depth of each queue, None of one that does not exist.

        Args:
            queues: Their names.
            may_be_hidden: Leave out what this user may not know of; from 4.3 on RabbitMQ asks for a right.

        Raises:
            BrokerUnavailable: If RabbitMQ does not answer, or not of one of them, as its node is down.
        """
        found: dict[str, Depth | None] = {}
        try:
            with blocking(self._url, name="taskyard peek", tls=self._tls) as connection:
                for queue in queues:
                    try:
                        found[queue] = _depth(connection, queue)
                    except ChannelClosedByBroker as error:
                        if error.reply_code != _REFUSED or not may_be_hidden:
                            raise
        except (AMQPError, OSError) as error:
            raise BrokerUnavailable(f"RabbitMQ does not answer: {describe(error)}") from error
        return found


def _depth(connection: BlockingConnection, queue: str) -> Depth | None:
    channel = connection.channel()
    try:
        method = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker as error:
        if "no queue" in error.reply_text:
            return None
        raise
    channel.close()
    return Depth(method.message_count, method.consumer_count)
