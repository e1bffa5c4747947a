"""Looks into RabbitMQ over AMQP, without a plugin: what its queues have, and whether it takes messages."""

import contextlib
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.connection import ConnectionThread, describe
from taskyard.runtime.tls import SYSTEM_CAS, Tls

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel

#: Longest wait for a host, and for whether a message is taken. Seconds.
CONNECT_S = 2.0
BLOCKED_S = 0.5
#: An alarm is reported within this time, if there is one. Seconds.
ALARM_S = 0.1
#: A queue that nobody has: what is published to it is dropped.
NOWHERE = "taskyard.look"
_REFUSED = 403


class Depth(Struct, frozen=True):
    """One queue: messages that are ready, and consumers."""

    messages: int
    consumers: int


class _Reading:
    """One `read` call: the queues still to ask for, and what was answered."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.queues = sorted(queues, reverse=True)
        self.current = ""
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
            reading.depths[reading.current] = None
        self._go_on(reading)

    def _opened(self, channel: "Channel", reading: _Reading) -> None:
        channel.add_on_close_callback(lambda _, reason: self._closed(reading, reason))
        self._ask(channel, reading)

    def _ask(self, channel: "Channel", reading: _Reading) -> None:
        if not reading.queues:
            channel.close()
            return
        queue = reading.current = reading.queues.pop()

        def answered(frame: Any) -> None:
            reading.depths[queue] = Depth(frame.method.message_count, frame.method.consumer_count)
            self._ask(channel, reading)

        channel.queue_declare(queue, passive=True, callback=answered)


class BrokerState(Struct, frozen=True, kw_only=True):
    """Whether messages can be published, and in RabbitMQ's words why not."""

    kind: Literal["ready", "blocked", "away"]
    detail: str = ""


def probe(url: str, *, tls: Tls = SYSTEM_CAS) -> BrokerState:
    """Return whether RabbitMQ takes messages now: one that goes to no queue is published to see it.

    RabbitMQ reports an alarm only to a connection that publishes.
    """
    alarms: list[str] = []
    try:
        connection = blocking(
            url,
            name="taskyard look",
            tls=tls,
            connect_timeout_s=CONNECT_S,
            blocked_timeout_s=BLOCKED_S,
        )
        with contextlib.closing(connection):
            connection.add_on_connection_blocked_callback(
                lambda _, frame: alarms.append(str(frame.method.reason or "no reason given"))
            )
            channel = connection.channel()
            channel.basic_publish("", NOWHERE, b"")
            connection.process_data_events(time_limit=ALARM_S)
            if not alarms:
                channel.basic_qos(
                    prefetch_count=1
                )  # an answer to it says that the message was taken
    except ConnectionBlockedTimeout:
        return BrokerState(kind="blocked", detail=alarms[0] if alarms else "")
    except (AMQPError, OSError) as error:
        if not alarms:
            return BrokerState(kind="away", detail=describe(error))
    return BrokerState(kind="blocked", detail=alarms[0]) if alarms else BrokerState(kind="ready")


class SharedProbe:
    """Probes for many callers: those that ask at the same time, or soon after, share one answer.

    Args:
        url: Where RabbitMQ is.
        ttl_s: How old an answer may be, in seconds.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, *, ttl_s: float = 1.0, tls: Tls = SYSTEM_CAS) -> None:
        self._url = url
        self._tls = tls
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._state = BrokerState(kind="ready")

    def state(self) -> BrokerState:
        """Return whether messages can be published; it takes a tenth of a second, at worst a few."""
        with self._lock:
            if time.monotonic() - self._looked_at > self._ttl_s:
                self._state = probe(self._url, tls=self._tls)
                self._looked_at = time.monotonic()
            return self._state


class DepthReader:
    """Asks for the depth of queues once; programs that stay use `QueueDepths`. Each call makes a connection.

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
