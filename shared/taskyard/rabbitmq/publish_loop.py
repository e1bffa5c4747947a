"""The connection's thread of a publisher: it declares queues, sends, and says what became of each message."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from pika.channel import Channel
from pika.exceptions import AMQPConnectionError, ChannelClosedByClient, ChannelWrongStateError
from pika.spec import Basic, BasicProperties

from taskyard.errors import BrokerUnavailable, TaskyardError, Unpublishable
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.confirms import Sent, UnconfirmedMessage, parted
from taskyard.rabbitmq.connection import AmqpConnection, ConnectionThread, describe
from taskyard.rabbitmq.outgoing import amqp_properties
from taskyard.rabbitmq.pauses import Patience
from taskyard.rabbitmq.size_limit import SizeLimit
from taskyard.rabbitmq.topology import QueueType
from taskyard.runtime.broker_hosts import places
from taskyard.runtime.tls import Tls

NOT_CONNECTED = "not connected yet"


class PublishLoop:
    """Sends what any thread puts in, and concludes each message: confirmed, refused, or lost.

    Args:
        url: Where RabbitMQ is.
        queue_type: The type that queues are declared with.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates, where `url` begins with `amqps:`.
        is_hasty: Whether messages are refused as soon as no host can be reached, as long as none ever was.
        hint: What errors say at their end, while there is no connection.
    """

    def __init__(
        self, url: str, *, queue_type: QueueType, name: str, tls: Tls, is_hasty: bool, hint: str
    ) -> None:
        #: How large a message RabbitMQ takes, as far as is known.
        self._size = SizeLimit()
        self._queue_type = queue_type
        self._lock = threading.Lock()
        self._inbox: deque[list[UnconfirmedMessage]] = deque()
        self._is_started = False
        self._connection: AmqpConnection | None = None
        self._channel: Channel | None = None
        self._is_blocked = False
        self._state = NOT_CONNECTED
        self._places = places(url)
        self._is_hasty = is_hasty
        self._hint = hint
        self._sent = Sent()
        self._declared: set[str] = set()
        self._declaring: dict[str, list[list[UnconfirmedMessage]]] = {}
        self._declaring_since: dict[str, float] = {}
        self._patience = Patience()
        self._thread = ConnectionThread(
            url,
            name=f"taskyard {name}",
            on_connected=self._connected,
            on_lost=self._lost,
            why_leave=self._why_leave,
            tls=tls,
        )

    @property
    def is_ready(self) -> bool:
        """Whether messages can be published now: connected, and not blocked by an alarm."""
        return self._channel is not None and not self._is_blocked

    @property
    def is_blocked(self) -> bool:
        """Whether an alarm of RabbitMQ keeps messages from being published."""
        return self._is_blocked

    @property
    def max_bytes(self) -> float:
        """How large a message RabbitMQ takes, as far as is known."""
        return self._size.max_bytes

    @property
    def state(self) -> str:
        """In words, what a loop that is not ready waits for."""
        return "ready" if self.is_ready else self._state

    def start(self) -> None:
        """Begin to connect; safe to call twice."""
        with self._lock:
            if not self._is_started:
                self._thread.start()
                self._is_started = True

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._is_started:
            self._thread.stop()

    def put(self, entries: list[UnconfirmedMessage]) -> None:
        """Send the messages of one batch soon; their batch is told what becomes of each."""
        self.start()
        with self._lock:
            self._inbox.append(entries)
        self._thread.call(self._flush)

    def withdraw(self, entries: list[UnconfirmedMessage], *, deadline_s: float) -> None:
        """Fail what RabbitMQ has not confirmed in `deadline_s`, and never send what was not sent by now."""
        late = f"RabbitMQ did not confirm within {deadline_s:g} s: {self._state}"
        if self._state == NOT_CONNECTED:
            late += f" ({self._places})"
        late += "" if self._connection else self._hint
        error = BrokerUnavailable(late)
        with self._lock:
            entries[0].batch.is_abandoned = True
            if entries in self._inbox:
                self._inbox.remove(entries)
            for entry in entries:
                if not entry.is_confirmed and entry.error is None:
                    entry.error = error

    # From here on everything runs in the connection's thread.

    def _connected(self, connection: AmqpConnection) -> None:
        self._connection = connection
        connection.add_on_connection_blocked_callback(self._blocked)
        connection.add_on_connection_unblocked_callback(self._unblocked)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        self._sent.begin()
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=lambda _: self._open(channel))

    def _open(self, channel: Channel) -> None:
        self._channel = channel
        self._state = "the confirm is outstanding"
        self._flush()

    def _channel_closed(self, channel: Channel, reason: Exception) -> None:
        self._channel = None
        self._declared.clear()  # the dead-letter exchange may be gone
        limit = self._size.learn(reason)
        self._sent.fail(f"the channel was closed: {describe(reason)}", max_bytes=limit)
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._channel_opened)

    def _lost(self, reason: BaseException) -> None:
        self._connection = self._channel = None
        self._is_blocked = False
        self._size.forget()
        self._state = f"no connection: {describe(reason)}"
        self._declared.clear()
        with self._lock:
            for waiting in self._declaring.values():
                self._inbox.extend(waiting)
        self._declaring.clear()
        self._declaring_since.clear()
        self._sent.fail(self._state)
        if self._is_hasty and self._thread.is_out_of_reach:
            self._refuse_waiting(f"RabbitMQ does not answer: {describe(reason)}{self._hint}")

    def _refuse_waiting(self, why: str) -> None:
        """Let all go that wait for a connection."""
        with self._lock:
            waiting = [entry for entries in self._inbox for entry in entries]
            self._inbox.clear()
        for entry in waiting:
            entry.refuse(BrokerUnavailable(why))

    def _why_leave(self) -> str:
        """Leave a host that takes messages and confirms none, as one does that is cut off from the others."""
        if self._is_blocked:
            return ""
        patience_s = self._patience.s
        before = time.monotonic() - patience_s
        undeclared = (queue for queue, since in self._declaring_since.items() if since < before)
        queue = self._sent.stuck(patience_s) or next(undeclared, "")
        if not queue:
            return ""
        self._patience.lost()
        return f"queue {queue!r} has answered nothing for {patience_s:g} s"

    def _blocked(self, _connection: object, frame: Any) -> None:
        self._is_blocked = True
        reason = frame.method.reason or "no reason given"
        self._state = f"an alarm of the broker blocks publishing ({reason})"

    def _unblocked(self, *_: object) -> None:
        self._is_blocked = False
        self._state = "the confirm is outstanding"
        self._flush()

    def _flush(self) -> None:
        while self.is_ready:
            with self._lock:
                if not self._inbox:
                    return
                entries = self._inbox.popleft()
            ours = {entry.message.queue for entry in entries if not entry.message.is_reply}
            missing = ours - self._declared
            going, staying = parted(entries, missing)
            if not self._is_wanted(entries, going):
                continue
            if going:
                self._send_all(going)
            if staying:
                self._declare(min(missing), staying)

    def _is_wanted(
        self, entries: list[UnconfirmedMessage], going: list[UnconfirmedMessage]
    ) -> bool:
        """Return whether somebody waits for these; from then on those that are going may arrive."""
        with self._lock:
            if entries[0].batch.is_abandoned:
                return False
            for entry in entries:
                entry.may_arrive = False
            for entry in going:
                entry.may_arrive = True
        return True

    def _declare(self, queue: str, entries: list[UnconfirmedMessage]) -> None:
        """Declare `queue` on a channel of its own, which a refusal closes, then go on with `entries`."""
        waiting = self._declaring.setdefault(queue, [])
        waiting.append(entries)
        if len(waiting) > 1 or self._connection is None:
            return
        self._declaring_since[queue] = time.monotonic()
        version = topology.server_version(self._connection.server_properties)

        def opened(channel: Channel) -> None:
            channel.add_on_close_callback(closed)
            topology.declare(
                channel, queue, version=version, queue_type=self._queue_type, done=channel.close
            )

        def closed(_channel: Channel, reason: Any) -> None:
            if self._connection is None:
                return  # lost: `_lost` has put back what waits
            waiting = self._declaring.pop(queue, [])
            self._declaring_since.pop(queue, None)
            if isinstance(reason, ChannelClosedByClient):
                self._declared.add(queue)
                with self._lock:
                    self._inbox.extendleft(reversed(waiting))
                self._flush()
            else:
                self._refuse(queue, waiting, topology.declare_error(queue, reason))

        self._connection.channel(on_open_callback=opened)

    def _refuse(
        self, queue: str, waiting: Sequence[list[UnconfirmedMessage]], error: TaskyardError
    ) -> None:
        """Give up what goes to a queue that cannot be declared, and what must not go without it."""
        for entries in waiting:
            is_whole = entries[0].batch.is_whole
            others = [each for each in entries if not is_whole and each.message.queue != queue]
            for entry in entries:
                if is_whole or entry.message.queue == queue:
                    entry.refuse(error)
            if others:
                with self._lock:
                    self._inbox.append(others)
        self._flush()

    def _send_all(self, entries: list[UnconfirmedMessage]) -> None:
        assert self._connection is not None
        with self._connection.gathering():
            for entry in entries:
                self._send(entry)

    def _send(self, entry: UnconfirmedMessage) -> None:
        if self._channel is None:
            entry.refuse(BrokerUnavailable("RabbitMQ closed the channel"))
            return
        message = entry.message
        if (too_large := self._size.refusal(message.body)) is not None:
            entry.refuse(too_large)
            return
        try:
            self._channel.basic_publish(
                exchange=topology.DEAD_EXCHANGE if message.is_dead else "",
                routing_key=message.queue,
                body=message.body,
                properties=message.properties or amqp_properties(message),
                mandatory=True,
            )
        except (ChannelWrongStateError, AMQPConnectionError) as error:
            entry.refuse(BrokerUnavailable(f"RabbitMQ was not told: {describe(error)}"))
        except Exception as error:  # noqa: BLE001 - pika has many words for what it cannot encode
            why = type(error).__name__  # its text quotes the message
            entry.refuse(Unpublishable(f"message {message.id!r} has no form in AMQP: {why}"))
        else:
            self._sent.add(entry)

    def _returned(
        self, _channel: Channel, method: Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        """No queue took a message: it was deleted. The message's confirm follows and sends it again."""
        self._sent.mark_returned(properties.message_id, method.routing_key)

    def _confirmed(self, frame: Any) -> None:
        is_ack = isinstance(frame.method, Basic.Ack)
        for entry in self._sent.take(frame.method.delivery_tag, multiple=frame.method.multiple):
            if entry.message.is_reply:
                entry.conclude(is_ack=is_ack)
            elif not is_ack:
                entry.refuse(
                    BrokerUnavailable(f"queue {entry.message.queue!r} refused the message")
                )
            elif not entry.is_returned:
                entry.confirm()
            elif entry.is_again:
                entry.refuse(
                    BrokerUnavailable(f"no queue {entry.message.queue!r} took the message")
                )
            else:
                entry.is_again, entry.is_returned, entry.may_arrive = True, False, False
                self._declared.discard(entry.message.queue)
                self._declare(entry.message.queue, [entry])
