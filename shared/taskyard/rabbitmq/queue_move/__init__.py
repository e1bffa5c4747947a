"""Moving a queue's messages into a queue of the same name with other arguments, such as another type.

AMQP cannot rename a queue, so the messages go by a queue beside it, wrapped, and each queue is deleted when
it is empty. What is where says how far a move has come: one that was killed is gone on with by the next.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from msgspec import Struct
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from taskyard.errors import BrokerUnavailable, QueueInUse
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.connect_once import blocking, greeting
from taskyard.rabbitmq.connection import describe
from taskyard.rabbitmq.queue_move.transfer import Onward, Taken, Transfer
from taskyard.rabbitmq.queue_move.wrapped import unwrap, wrap
from taskyard.rabbitmq.topology import LOCKED, QueueType, lock
from taskyard.runtime.tls import SYSTEM_CAS, Tls

#: A queue that so often is not empty after all is one that somebody publishes to.
MAX_ROUNDS = 20

_NOT_FOUND, _MISMATCH, _NOT_IMPLEMENTED = 404, 406, 540


def moving_queue(queue: str) -> str:
    """Return the name of the queue beside `queue` that its messages go by."""
    return f"taskyard.moving.{queue}"


class Moved(Struct, frozen=True):
    """One queue: how many messages were moved, and whether it had to be made anew."""

    queue: str
    messages: int
    is_new: bool


class QueueMove:
    """Moves queues; no two do so with the same queue at the same time.

    Args:
        broker_url: Where RabbitMQ is; its user needs every right on the queues.
        queue_type: The type that queues are declared with.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, broker_url: str, *, queue_type: QueueType, tls: Tls = SYSTEM_CAS) -> None:
        self._broker_url = broker_url
        #: Of the host that all of a move goes over.
        self._url = ""
        self._queue_type = queue_type
        self._tls = tls

    def move(self, queue: str) -> list[Moved]:
        """Give `queue` and the queues that belong to it the arguments that taskyard declares.

        Args:
            queue: A work queue, or `taskyard.intake`.

        Returns:
            What was done to each of them that exists.

        Raises:
            QueueInUse: If one is read by others, or messages keep coming to it.
            BrokerUnavailable: If RabbitMQ does not answer, or refuses messages. Nothing is lost: move again.
        """
        try:
            server = greeting(self._broker_url, name="taskyard move", tls=self._tls)
            self._url, version = server.url, topology.server_version(server.properties)
            with self._connection() as connection:
                names = topology.family(queue, version=version, queue_type=self._queue_type)
                for name in names:
                    lock(connection.channel(), name)
                there = {name for name in names if self._depth(connection, name) is not None}
                wrong = {n for n in there if not self._fits(connection, n, names[n])}
                for name in sorted(wrong):
                    self._empty(connection, name, queue, version)
                return [
                    Moved(name, self._fill(connection, name, queue, version), name in wrong)
                    for name in names
                    if name in there or self._depth(connection, moving_queue(name)) is not None
                ]
        except ChannelClosedByBroker as error:
            if error.reply_code == LOCKED:
                raise QueueInUse(f"queue {queue!r} is being moved or looked through") from error
            raise BrokerUnavailable(f"queue {queue!r}: {describe(error)}") from error
        except (AMQPError, OSError) as error:
            raise BrokerUnavailable(f"queue {queue!r}: {describe(error)}") from error

    def _empty(self, connection: Any, name: str, queue: str, version: tuple[int, int]) -> None:
        """Take all messages of a queue to the one beside it, and delete the queue."""
        moving = moving_queue(name)
        is_there = self._depth(connection, moving) is not None
        arguments = topology.dead_queue_arguments(version=version, queue_type=self._queue_type)

        def prepare(channel: Channel, done: Callable[[], None]) -> None:
            # One that a killed move has left may have other arguments, and serves as well.
            channel.queue_declare(
                moving,
                passive=is_there,
                durable=True,
                arguments=None if is_there else arguments,
                callback=lambda _: done(),
            )

        self._drain(connection, name, partial(wrap, into=moving), prepare=prepare, queue=queue)

    def _fill(self, connection: Any, name: str, queue: str, version: tuple[int, int]) -> int:
        """Declare a queue, and take all messages of the one beside it there."""
        moving = moving_queue(name)
        if self._depth(connection, moving) is None:
            return 0
        declare = (
            topology.declare_front_door
            if queue == topology.INTAKE_QUEUE
            else partial(topology.declare, queue=queue)
        )

        def prepare(channel: Channel, done: Callable[[], None]) -> None:
            declare(channel, version=version, queue_type=self._queue_type, done=done)

        return self._drain(
            connection, moving, partial(unwrap, queue=name), prepare=prepare, queue=queue
        )

    def _drain(
        self, connection: Any, source: str, onward: Callable[[Taken], Onward], **how: Any
    ) -> int:
        """Take all messages of a queue on and delete it; return how many they were."""
        moved = 0
        for _ in range(MAX_ROUNDS):
            moved += Transfer(
                self._url,
                source,
                onward,
                meanwhile=partial(connection.process_data_events, 0),
                tls=self._tls,
                **how,
            ).run()
            if self._delete(connection, source):
                return moved
        raise QueueInUse(f"messages keep coming to queue {source!r}: stop who publishes to it")

    def _delete(self, connection: Any, name: str) -> bool:
        """Delete a queue if it is empty and nobody reads it; return whether that was so."""
        try:
            with self._connection() as own:
                own.channel().queue_delete(name, if_empty=True, if_unused=True)
            return True
        except ChannelClosedByBroker as error:
            if error.reply_code == _MISMATCH:
                return False
            raise
        except ConnectionClosedByBroker as error:
            if error.reply_code != _NOT_IMPLEMENTED:
                raise
        # A quorum queue cannot be deleted with these conditions.
        depth = self._depth(connection, name)
        if depth is None or depth.message_count or depth.consumer_count:
            return depth is None
        connection.channel().queue_delete(name)
        return True

    def _depth(self, connection: Any, name: str) -> Any:
        """Return what a queue has, or None if it does not exist."""
        channel = connection.channel()
        try:
            return channel.queue_declare(name, passive=True).method
        except ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:
                return None
            raise
        finally:
            if channel.is_open:
                channel.close()

    def _fits(self, connection: Any, name: str, arguments: dict[str, Any]) -> bool:
        """Return whether a queue that exists has these arguments."""
        channel = connection.channel()
        try:
            channel.queue_declare(name, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            if error.reply_code == _MISMATCH:
                return False
            raise
        channel.close()
        return True

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = blocking(self._url, name="taskyard move", tls=self._tls)
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()
