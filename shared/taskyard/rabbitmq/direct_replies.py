"""Replies to RabbitMQ's names of replies without a queue, over a connection that nothing else depends on.

Who made such a name cannot be told, and RabbitMQ before 4.3 closes the connection (541) for one that is
none, or that is of a node which is gone. So one reply is on its way at a time: the connection takes that one
with it alone. What a name did is remembered: one that is none is not tried again, and those that did no harm
come first, so that bad names delay no reply to a name that has worked.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from pika.channel import Channel
from pika.exceptions import ConnectionClosedByBroker
from pika.spec import BasicProperties

from taskyard.rabbitmq.confirms import Undelivered
from taskyard.rabbitmq.connection import AmqpConnection, ConnectionThread, describe
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.properties import property_text
from taskyard.rabbitmq.size_limit import SizeLimit
from taskyard.rabbitmq.topology import server_version
from taskyard.runtime.tls import Tls

logger = logging.getLogger(__name__)

DIRECT_REPLY = "amq.rabbitmq.reply-to"
#: So many wait at most. The next ones to names that are not known are dropped: who gives names that are none
#: would hold up all. Those to known names are for their sender to hold back.
LIMIT = 10_000
#: Names that are remembered at most.
MOST_NAMES = 10_000
#: How RabbitMQ closes the connection for a name that is none.
INTERNAL_ERROR = 541
#: The first version that is known to return what has such a name, and nothing else, if it is mandatory.
#: An older one returns everything.
RETURNS_SINCE = (4, 3)


def is_direct(name: str) -> bool:
    """Return whether a reply to this name goes to a channel, without a queue."""
    return name.startswith(DIRECT_REPLY)


class _Call:
    """The replies of one call: how many are not dealt with, and which were lost."""

    def __init__(self, replies: Sequence[Outgoing]) -> None:
        self.waiting = dict(enumerate(replies))
        self.lost: list[Outgoing] = []
        self.is_over = False
        self.done = threading.Event()


class _Reply(Struct, frozen=True, eq=False):
    call: _Call
    number: int


class DirectReplies:
    """Sends replies that may be lost silently: the receiver has a channel open, or has not.

    Args:
        url: Where RabbitMQ is.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, *, tls: Tls) -> None:
        self._lock = threading.Lock()
        #: Replies to names that were good before, and to others.
        self._to_good_names: deque[_Reply] = deque()
        self._others: deque[_Reply] = deque()
        #: Whether RabbitMQ took a reply to this name, or closed the connection for it.
        self._is_good: dict[str, bool] = {}
        self._is_started = False
        self._connection: AmqpConnection | None = None
        self._channel: Channel | None = None
        self._under_way: _Reply | None = None
        self._size = SizeLimit()
        self._is_mandatory = self._is_returned = False
        #: Whether the connection is being lost for the name of a reply.
        self._is_for_name = False
        self._thread = ConnectionThread(
            url,
            name="taskyard direct replies",
            on_connected=self._connected,
            on_lost=self._lost,
            tls=tls,
        )

    def send(self, replies: Sequence[Outgoing]) -> None:
        """Send replies soon; never wait for them."""
        self._begin(_Call(replies))

    @property
    def max_bytes(self) -> float:
        """How large a reply RabbitMQ takes, as far as is known."""
        return self._size.max_bytes

    @property
    def is_full(self) -> bool:
        """Whether as many wait for names that are known as shall."""
        return len(self._to_good_names) >= LIMIT

    def is_known(self, name: str) -> bool:
        """Return whether RabbitMQ took a reply to this name before, or is known to take none."""
        return name in self._is_good

    def publish(self, replies: Sequence[Outgoing], *, deadline_s: float) -> Undelivered:
        """Return when RabbitMQ has had all replies, or after `deadline_s` seconds; the rest is not sent then.

        Returns:
            Replies whose names it did not know, as `no_queue`; and what was not sent, as `refused`.
        """
        if not replies:
            return Undelivered([], [])
        call = _Call(replies)
        self._begin(call)
        call.done.wait(deadline_s)
        with self._lock:
            call.is_over = True
            return Undelivered(call.lost, list(call.waiting.values()))

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._is_started:
            self._thread.stop()

    def _begin(self, call: _Call) -> None:
        dropped = 0
        with self._lock:
            for number, reply in call.waiting.items():
                is_known = reply.queue in self._is_good
                if not is_known and len(self._others) >= LIMIT:
                    dropped += 1
                    continue
                (self._to_good_names if is_known else self._others).append(_Reply(call, number))
            if not self._is_started:
                self._thread.start()
                self._is_started = True
        if dropped:
            logger.warning("direct replies dropped", extra={"replies": dropped})
        self._thread.call(self._go_on)

    # From here on everything runs in the connection's thread.

    def _connected(self, connection: AmqpConnection) -> None:
        self._connection = connection
        self._is_mandatory = server_version(connection.server_properties) >= RETURNS_SINCE
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=lambda _: self._open(channel))

    def _open(self, channel: Channel) -> None:
        self._channel = channel
        self._go_on()

    def _channel_closed(self, _channel: Channel, reason: BaseException) -> None:
        self._give_up(reason)
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._channel_opened)

    def _lost(self, reason: BaseException) -> None:
        self._connection = None
        self._size.forget()
        self._give_up(reason)
        if self._is_for_name:
            self._thread.excuse()
        self._is_for_name = False

    def _give_up(self, reason: BaseException) -> None:
        self._channel = None
        if self._size.learn(reason) is not None:
            self._under_way = None  # it is not sent: its caller may make a smaller one
        if self._under_way is not None:
            logger.warning("direct reply lost: %s", describe(reason))
            if isinstance(reason, ConnectionClosedByBroker) and reason.reply_code == INTERNAL_ERROR:
                self._is_for_name = True
                self._learn(self._under_way, is_good=False)
            self._conclude(is_lost=True)

    def _go_on(self) -> None:
        while self._channel is not None and self._under_way is None:
            with self._lock:
                waiting = self._to_good_names or self._others
                if not waiting:
                    return
                reply = waiting.popleft()
                if reply.call.is_over:
                    continue
                self._under_way = reply
            message = reply.call.waiting[reply.number]
            if self._is_good.get(message.queue, True):
                self._write(self._channel, message)
            else:
                self._conclude(is_lost=True)

    def _write(self, channel: Channel, reply: Outgoing) -> None:
        properties = BasicProperties(
            content_type=property_text(reply.content_type),
            correlation_id=reply.correlation_id,
            message_id=reply.id or None,
            timestamp=int(time.time()),
            type=property_text(reply.task) or None,
            app_id="taskyard",
            delivery_mode=2,
        )
        channel.basic_publish("", reply.queue, reply.body, properties, mandatory=self._is_mandatory)

    def _returned(self, *_: object) -> None:
        """RabbitMQ does not know the name of the reply that is under way; its confirm follows."""
        logger.warning("direct reply lost: its name is none")
        self._is_returned = True

    def _confirmed(self, _frame: object) -> None:
        if self._under_way is not None:
            self._learn(self._under_way, is_good=not self._is_returned)
        self._conclude(is_lost=self._is_returned)
        self._go_on()

    def _learn(self, reply: _Reply, *, is_good: bool) -> None:
        with self._lock:
            name = reply.call.waiting[reply.number].queue
            self._is_good.pop(name, None)  # the latest are the last ones
            self._is_good[name] = is_good
            if len(self._is_good) > MOST_NAMES:
                del self._is_good[next(iter(self._is_good))]

    def _conclude(self, *, is_lost: bool) -> None:
        reply, self._under_way = self._under_way, None
        self._is_returned = False
        if reply is None:
            return
        with self._lock:
            sent = reply.call.waiting.pop(reply.number)
            if is_lost:
                reply.call.lost.append(sent)
            if not reply.call.waiting:
                reply.call.done.set()
