"""How many messages and consumers RabbitMQ's queues have, asked over AMQP, without a plugin."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pika.exceptions import ChannelClosedByBroker

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.connection import ConnectionThread, describe
from taskyard.runtime.tls import SYSTEM_CAS, Tls

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel


class Depth(Struct, frozen=True):
    """One queue: messages that are ready, and consumers."""

    messages: int
    consumers: int


class _Reading:
    """One `read` call: the queues still to ask for, and what was answered."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.queues = sorted(queues, reverse=True)
        self.asked = ""
        #: None: there is no such queue.
        self.depths: dict[str, Depth | None] = {}
        self.done = threading.Event()


class QueueDepths:
    """Asks RabbitMQ for the depth of queues, over one connection.

    Args:
        url: Where RabbitMQ is.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, *, name: str = "measure", tls: Tls = SYSTEM_CAS) -> None:
        self._connection: pika.SelectConnection | None = None
        self._state = "not connected yet"
        self._thread = ConnectionThread(
            url,
            name=f"taskyard {name}",
            on_connected=self._connected,
            on_lost=self._lost,
            tls=tls,
        )

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._thread.stop()

    def read(self, queues: Iterable[str], *, deadline_s: float) -> dict[str, Depth]:
        """Return the depth of each queue; one that does not exist is left out.

        Raises:
            BrokerUnavailable: If RabbitMQ did not answer in `deadline_s` seconds.
        """
        looked = self.look(queues, deadline_s=deadline_s)
        return {queue: depth for queue, depth in looked.items() if depth is not None}

    def look(self, queues: Iterable[str], *, deadline_s: float) -> dict[str, Depth | None]:
        """Return the depth of each queue, None of one that does not exist.

        One that RabbitMQ cannot or may not tell of, such as one whose node is down, is left out.

        Raises:
            BrokerUnavailable: If RabbitMQ did not answer in `deadline_s` seconds.
        """
        reading = _Reading(queues)
        if not self._thread.call(lambda: self._go_on(reading)):
            raise BrokerUnavailable(f"queues cannot be measured: {self._state}")
        if not reading.done.wait(deadline_s):
            raise BrokerUnavailable(f"RabbitMQ did not tell of its queues within {deadline_s:g} s")
        return reading.depths

    # From here on everything runs in the connection's thread.

    def _connected(self, connection: "pika.SelectConnection") -> None:
        self._connection = connection

    def _lost(self, reason: BaseException) -> None:
        self._connection = None
        self._state = f"no connection: {describe(reason)}"

    def _go_on(self, reading: _Reading) -> None:
        """Ask for the queues that are left; a queue that does not exist closes the channel."""
        if not reading.queues:
            reading.done.set()
        elif self._connection is not None and self._connection.is_open:
            self._connection.channel(
                on_open_callback=lambda channel: self._opened(channel, reading)
            )

    def _closed(self, reading: _Reading, reason: BaseException) -> None:
        # RabbitMQ says 404, too, of a queue whose node is down.
        if isinstance(reason, ChannelClosedByBroker) and "no queue" in reason.reply_text:
            reading.depths[reading.asked] = None
        self._go_on(reading)

    def _opened(self, channel: "Channel", reading: _Reading) -> None:
        channel.add_on_close_callback(lambda _, reason: self._closed(reading, reason))
        self._ask(channel, reading)

    def _ask(self, channel: "Channel", reading: _Reading) -> None:
        if not reading.queues:
            channel.close()
            return
        queue = reading.asked = reading.queues.pop()

        def answered(frame: Any) -> None:
            reading.depths[queue] = Depth(frame.method.message_count, frame.method.consumer_count)
            self._ask(channel, reading)

        channel.queue_declare(queue, passive=True, callback=answered)
