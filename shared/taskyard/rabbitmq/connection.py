"""One AMQP connection in a thread of its own, made anew whenever it is lost."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pika
from pika import frame
from pika.channel import Channel
from pika.exceptions import AMQPError, AMQPHeartbeatTimeout
from pika.spec import Basic

from taskyard.rabbitmq import frames
from taskyard.rabbitmq.bodies import Cutting
from taskyard.rabbitmq.pauses import Pauses
from taskyard.runtime.broker_hosts import Hosts, place
from taskyard.runtime.tls import SYSTEM_CAS, Tls, refusal

logger = logging.getLogger(__name__)
# pika logs every failed try ten times over; what matters of it is logged here.
logging.getLogger("pika").setLevel(logging.CRITICAL)

#: RabbitMQ drops a connection that says nothing for two to three times this long, and so gives what a lost or
#: frozen worker has to another: within the default lease. A shorter one would cost connections of processes
#: that only stand still for some seconds. pika sends something after half of it. Seconds.
HEARTBEAT_S = 5
#: Longest wait for a connection to be made, and for each step of it. Seconds.
CONNECT_TIMEOUT_S = 5
#: The same while there is another host to try. Seconds.
NEXT_HOST_S = 2
#: Of several hosts one that says nothing for so long is left for the next; RabbitMQ sends something every 5 s
#: at least, in an alarm too and whatever its queues do. pika alone takes 10 to 20 s. Seconds.
SILENT_S = 7
LOOK_S = 1


def parameters(url: str, *, name: str, tls: Tls) -> pika.URLParameters:
    """Return how to connect, once and within `CONNECT_TIMEOUT_S`.

    Args:
        url: Where one host is.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates, where `url` begins with `amqps:`.

    Raises:
        OSError: If a certificate cannot be read.
    """
    found = pika.URLParameters(url)
    found.connection_attempts = 1
    found.heartbeat = HEARTBEAT_S
    found.socket_timeout = found.stack_timeout = CONNECT_TIMEOUT_S
    found.client_properties = {"connection_name": name, "product": "taskyard"}
    if found.ssl_options is not None:  # whatever the URL says of it: it could turn verification off
        found.ssl_options = pika.SSLOptions(tls.context(), found.host)
    return found


class AmqpConnection(pika.SelectConnection):
    """A connection that reads what any producer may send, which pika's does not.

    It takes less time for a delivery, and can send many messages by one system call, where pika makes three
    for each.
    """

    #: Longest body of a delivery that is kept as a whole, of others the beginning; None: there is no bound.
    whole_max_bytes: int | None = None
    _gathered: list[bytes] | None = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Send together, at the end, all that is written within."""
        gathered: list[bytes] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
            if gathered:
                self._adapter_emit_data(b"".join(gathered))

    def abort(self, reason: Exception) -> None:
        """Close the socket without a word; `on_close_callback` is called soon, with the reason."""
        self._terminate_stream(reason)

    def _create_channel(self, *args: Any) -> Channel:
        channel = super()._create_channel(*args)
        if self.whole_max_bytes is not None:
            # pika has no other way to have it keep less than all.
            setattr(channel, "_content_assembler", Cutting(self.whole_max_bytes))  # noqa: B010
        return channel

    def _read_frame(self) -> tuple[int, Any]:
        return frames.read(self._frame_buffer)

    def _has_pending_callbacks(self, value: frame.Method[Any]) -> bool:
        # Nobody waits for a delivery in this way, and pika looks for it by names that it makes each time.
        return not isinstance(value.method, Basic.Deliver) and super()._has_pending_callbacks(value)

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._gathered is None:
            super()._adapter_emit_data(data)
        else:
            self._gathered.append(data)


class ConnectionThread:
    """Keeps a connection to RabbitMQ open and runs all its callbacks in one thread.

    Of several hosts it takes the next whenever the connection is lost, and pauses once each has had a try.

    Args:
        broker_url: Where RabbitMQ is.
        name: What the connection is called in RabbitMQ's own views.
        on_connected: Called in the thread with each new connection.
        on_lost: Called in the thread with the reason when the connection is gone or cannot be made.
        why_leave: Asked in the thread every second where there are several hosts: why this one is to be left
            for the next; nothing if it is not.
        whole_max_bytes: Longest body of a delivery that is kept as a whole, of others the beginning; None:
            there is no bound.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        name: str,
        on_connected: Callable[[AmqpConnection], None],
        on_lost: Callable[[BaseException], None],
        why_leave: Callable[[], str] = str,
        whole_max_bytes: int | None = None,
        tls: Tls = SYSTEM_CAS,
    ) -> None:
        self._hosts = Hosts(broker_url)
        self._name = name
        self._tls = tls
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._why_leave = why_leave
        self._whole_max_bytes = whole_max_bytes
        self._connection: AmqpConnection | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pauses = Pauses()
        self._was_open = self._was_ever_open = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Close the connection and return when the thread has ended; safe to call twice."""
        self._stopping.set()
        self.call(self._close)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def call(self, function: Callable[[], None]) -> bool:
        """Run `function` soon in the connection's thread; without a connection do nothing, return False."""
        with self._lock:
            if self._connection is None:
                return False
            self._connection.ioloop.add_callback_threadsafe(function)
            return True

    @property
    def is_out_of_reach(self) -> bool:
        """Whether no host was ever reached, and each has had its try; for `on_lost`."""
        return not self._was_ever_open and not self._hosts.untried

    def excuse(self) -> None:
        """Have no long pause after this loss, which says nothing of the server; for `on_lost`."""
        self._pauses.excuse()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connect_and_serve()
            except Exception as error:
                self._move_on()
                logger.exception("amqp connection failed")
                self._tell_lost(error)
            if self._is_round_over:
                self._stopping.wait(self._pauses.next_s())
                self._hosts.begin_round()

    @property
    def _is_round_over(self) -> bool:
        """Whether there is no other host to try at once: an open connection was lost, or all failed."""
        return self._was_open or not self._hosts.untried

    def _move_on(self) -> None:
        self._hosts.move_on()
        if self._is_round_over:
            self._pauses.lost()

    def _tell_lost(self, error: Exception) -> None:
        try:
            self._on_lost(error)
        except Exception:
            logger.exception("the end of an amqp connection is not dealt with")

    def _connect_and_serve(self) -> None:
        self._was_open = False
        how = parameters(self._hosts.url, name=self._name, tls=self._tls)
        if self._hosts.untried > 1:
            how.socket_timeout = how.stack_timeout = NEXT_HOST_S
        connection = AmqpConnection(
            how,
            on_open_callback=self._opened,
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
        )
        connection.whole_max_bytes = self._whole_max_bytes
        try:
            connection.ioloop.start()
        except Exception as error:
            if not connection.is_open:
                raise
            logger.exception("amqp connection failed")
            # Else RabbitMQ would hold what is unacknowledged until the garbage collector finds the socket.
            connection.abort(error)
            connection.ioloop.start()
        finally:
            with self._lock:
                self._connection = None
            connection.ioloop.close()

    def _opened(self, connection: AmqpConnection) -> None:
        self._pauses.opened()
        self._was_open = self._was_ever_open = True
        with self._lock:
            self._connection = connection
        if self._hosts.are_several:
            self._listen(connection, heard_bytes=-1, silent_s=0)
        if self._stopping.is_set():
            self._close()
        else:
            self._on_connected(connection)

    def _lost(self, connection: AmqpConnection, reason: BaseException | str) -> None:
        host = place(self._hosts.url)
        self._move_on()
        with self._lock:
            self._connection = None
        error = reason if isinstance(reason, BaseException) else AMQPError(reason)
        if not self._stopping.is_set():
            facts = {"connection": self._name, "host": host}
            logger.warning("no amqp connection: %s", describe(error), extra=facts)
        name_host(error, host)
        self._on_lost(error)
        connection.ioloop.stop()

    def _listen(self, connection: AmqpConnection, *, heard_bytes: int, silent_s: float) -> None:
        """Leave a host that says nothing; counted in looks, so that it is not blamed where we stood still."""
        if not connection.is_open:
            return
        now_bytes = connection.bytes_received
        silent_s = silent_s + LOOK_S if now_bytes == heard_bytes else 0
        if silent_s >= SILENT_S:
            connection.abort(AMQPHeartbeatTimeout(f"nothing was heard for {silent_s:g} s"))
        elif why := self._why_leave():
            connection.abort(AMQPError(why))
        else:
            again = partial(self._listen, connection, heard_bytes=now_bytes, silent_s=silent_s)
            connection.ioloop.call_later(LOOK_S, again)

    def _close(self) -> None:
        connection = self._connection
        if connection is not None and connection.is_open:
            connection.close()


def name_host(error: BaseException, place: str) -> None:
    """Have `describe` tell of which host, or hosts, an error is: pika's own words do not."""
    if place not in getattr(error, "__notes__", ()):
        error.add_note(place)


def describe(error: BaseException) -> str:
    """Return an error of pika in words: it wraps the cause, often in several layers without a text."""
    hosts = "".join(f" ({place})" for place in getattr(error, "__notes__", ()))
    return f"{_cause(error)}{hosts}"


def _cause(error: BaseException) -> str:
    inner = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    causes = [cause for cause in inner if isinstance(cause, BaseException)]
    if causes:
        return _cause(causes[-1])
    return refusal(error) or str(error) or type(error).__name__
