"""Taking all messages of a queue on to where each belongs; each is let go once RabbitMQ has confirmed it."""

import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from msgspec import Struct
from pika.channel import Channel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic, BasicProperties

from taskyard.errors import BrokerUnavailable, QueueInUse, TaskyardError
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.connection import describe, parameters
from taskyard.rabbitmq.queue_move.verbatim import VerbatimConnection, VerbatimProperties
from taskyard.runtime.tls import Tls

#: Messages that are on their way at a time: more gain little, and each may be as large as RabbitMQ takes.
WINDOW = 64
#: With nothing on its way for so long, the queue is looked at again. Seconds.
IDLE_S = 1.0
#: A transfer that gets no further for so long is given up. Seconds.
STALL_S = 30.0

_REFUSED = 403


class Taken(Struct, frozen=True):
    """A message as it came from the queue."""

    #: As bytes where they are not UTF-8.
    exchange: str | bytes
    routing_key: str | bytes
    properties: VerbatimProperties
    body: bytes
    is_redelivered: bool


class Onward(Struct, frozen=True):
    """What is published for it."""

    exchange: str | bytes
    routing_key: str | bytes
    properties: BasicProperties
    body: bytes


class Transfer:
    """Empties one queue, in its order, over a connection of its own.

    Args:
        url: Where one host is.
        source: The queue.
        onward: Says what becomes of each message.
        prepare: Called first, with a channel to declare on and what to call when that is done.
        queue: The queue that all this is about, for errors.
        meanwhile: Called about every second, such as to keep another connection; what it raises ends this.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(
        self,
        url: str,
        source: str,
        onward: Callable[[Taken], Onward],
        *,
        prepare: Callable[[Channel, Callable[[], None]], None],
        queue: str,
        meanwhile: Callable[[], object],
        tls: Tls,
    ) -> None:
        self._url = url
        self._source = source
        self._onward = onward
        self._prepare = prepare
        self._queue = queue
        self._meanwhile = meanwhile
        self._tls = tls
        self._error: TaskyardError | None = None
        self._is_over = False
        self._is_prepared = False
        self._moved = self._expected = self._published = 0
        #: Delivery tags of what is published and not confirmed, by its number.
        self._underway: dict[int, int] = {}
        self._consumer_tag = ""
        self._progress_at = self._looked_at = time.monotonic()

    def run(self) -> int:
        """Return how many messages were taken on; the queue is empty then.

        Raises:
            QueueInUse: If others consume the queue.
            QueueMismatch: If `prepare` met a queue with other arguments.
            BrokerUnavailable: If RabbitMQ does not answer or refuses messages; the others stay there.
        """
        try:
            how = parameters(self._url, name="taskyard move", tls=self._tls)
            how.blocked_connection_timeout = STALL_S
            connection = self._connection = VerbatimConnection(
                how,
                on_open_callback=self._connected,
                on_open_error_callback=self._lost,
                on_close_callback=self._lost,
            )
        except OSError as error:
            raise BrokerUnavailable(describe(error)) from error
        try:
            connection.ioloop.start()
        finally:
            connection.ioloop.close()
        if self._error is not None:
            raise self._error
        return self._moved

    def _connected(self, connection: VerbatimConnection) -> None:
        connection.channel(on_open_callback=self._opened)
        connection.ioloop.call_later(IDLE_S, self._watch)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.add_on_cancel_callback(
            lambda _: self._fail(BrokerUnavailable(f"queue {self._source!r} was deleted"))
        )
        channel.confirm_delivery(self._confirmed, callback=lambda _: None)
        channel.basic_qos(prefetch_count=WINDOW)
        self._prepare(channel, self._prepared)

    def _prepared(self) -> None:
        self._is_prepared = True
        self._look()

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        self._channel.queue_declare(self._source, passive=True, callback=self._looked)

    def _looked(self, found: Any) -> None:
        if not self._consumer_tag and found.method.consumer_count:  # later it may be ours
            self._fail(_in_use(self._source, f"{found.method.consumer_count} consumers"))
        elif found.method.message_count:
            self._expected = self._moved + found.method.message_count
            self._consumer_tag = self._channel.basic_consume(
                self._source, self._delivered, exclusive=True
            )
        else:
            self._end()

    def _delivered(
        self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        assert isinstance(properties, VerbatimProperties)
        taken = Taken(
            method.exchange or "",
            method.routing_key or "",
            properties,
            body,
            bool(method.redelivered),
        )
        onward = self._onward(taken)
        self._published += 1
        self._underway[self._published] = method.delivery_tag or 0
        channel.basic_publish(
            onward.exchange, onward.routing_key, onward.body, onward.properties, mandatory=True
        )

    def _confirmed(self, found: Any) -> None:
        method = found.method
        if self._error is not None:
            return
        if not isinstance(method, Basic.Ack):
            self._fail(BrokerUnavailable(f"RabbitMQ refused a message of {self._source!r}"))
            return
        last = method.delivery_tag
        numbers = (
            list(takewhile(lambda each: each <= last, self._underway))
            if method.multiple
            else [last]
        )
        for number in numbers:
            self._channel.basic_ack(self._underway.pop(number))
        self._moved += len(numbers)
        self._progress_at = time.monotonic()
        if self._moved >= self._expected and not self._underway:
            self._look_again()

    def _look_again(self) -> None:
        """See whether more has come; without a consumer, which would hold messages back from the count."""
        self._expected = self._moved + 1
        self._looked_at = time.monotonic()
        self._channel.basic_cancel(self._consumer_tag, callback=lambda _: self._look())

    def _returned(self, *_: object) -> None:
        """No queue took a message; its confirm follows, and must not count."""
        self._fail(BrokerUnavailable(f"no queue took a message of {self._source!r}"))

    def _watch(self) -> None:
        now = time.monotonic()
        if self._is_over:
            return
        try:
            self._meanwhile()
        except AMQPError as error:
            self._fail(BrokerUnavailable(f"queue {self._source!r}: {describe(error)}"))
            return
        if now - self._progress_at > STALL_S:
            text = f"RabbitMQ confirmed no message of {self._source!r} for {STALL_S:g} s"
            self._fail(BrokerUnavailable(text))
            return
        is_idle = self._consumer_tag and not self._underway and now - self._looked_at > IDLE_S
        if is_idle and now - self._progress_at > IDLE_S:  # fewer came than were counted
            self._look_again()
        self._connection.ioloop.call_later(IDLE_S, self._watch)

    def _channel_closed(self, _channel: Channel, reason: BaseException) -> None:
        if self._is_over:
            return
        if getattr(reason, "reply_code", 0) == _REFUSED and "exclusive" in str(reason):
            self._fail(_in_use(self._source, "another consumer"))
        elif isinstance(reason, ChannelClosedByBroker) and not self._is_prepared:
            self._fail(topology.declare_error(self._queue, reason))
        else:
            self._fail(BrokerUnavailable(f"queue {self._source!r}: {describe(reason)}"))

    def _fail(self, error: TaskyardError) -> None:
        if self._error is None:
            self._error = error
        self._end()

    def _end(self) -> None:
        """Close the connection; RabbitMQ puts back what is not acknowledged."""
        self._is_over = True
        if self._connection.is_open:
            self._connection.close()
        self._connection.ioloop.call_later(IDLE_S, self._connection.ioloop.stop)

    def _lost(self, connection: VerbatimConnection, reason: BaseException | str) -> None:
        if not self._is_over:
            text = describe(reason) if isinstance(reason, BaseException) else reason
            self._error = BrokerUnavailable(f"no connection: {text}")
        self._is_over = True
        connection.ioloop.stop()


def _in_use(queue: str, by: str) -> QueueInUse:
    return QueueInUse(f"queue {queue!r} is read by {by}: stop the workers and schedulers first")
