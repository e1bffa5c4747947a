"""A look at whether RabbitMQ takes messages: it tells a connection of an alarm only once that publishes."""

import contextlib
import threading
import time
from typing import Literal

from msgspec import Struct
from pika.exceptions import AMQPError, ConnectionBlockedTimeout

from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.connection import describe
from taskyard.runtime.tls import SYSTEM_CAS, Tls

#: Longest wait for a host, and for whether a message is taken. Seconds.
CONNECT_S = 2.0
BLOCKED_S = 0.5
#: An alarm that is told, is told within this. Seconds.
TOLD_S = 0.1
#: A queue that nobody has: what is published to it is dropped.
NOWHERE = "taskyard.look"


class BrokerState(Struct, frozen=True, kw_only=True):
    """Whether messages can be published, and in RabbitMQ's words why not."""

    kind: Literal["ready", "blocked", "away"]
    detail: str = ""


def look(url: str, *, tls: Tls = SYSTEM_CAS) -> BrokerState:
    """Publish a message that nobody gets, over a connection of its own, and tell what came of it."""
    told: list[str] = []
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
                lambda _, frame: told.append(str(frame.method.reason or "no reason given"))
            )
            channel = connection.channel()
            channel.basic_publish("", NOWHERE, b"")
            connection.process_data_events(time_limit=TOLD_S)
            if not told:
                channel.basic_qos(
                    prefetch_count=1
                )  # an answer to it says that the message was taken
    except ConnectionBlockedTimeout:
        return BrokerState(kind="blocked", detail=told[0] if told else "")
    except (AMQPError, OSError) as error:
        if not told:
            return BrokerState(kind="away", detail=describe(error))
    return BrokerState(kind="blocked", detail=told[0]) if told else BrokerState(kind="ready")


class BrokerLooks:
    """Looks for many callers: those that ask at the same time, or soon after, share one look.

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
                self._state = look(self._url, tls=self._tls)
                self._looked_at = time.monotonic()
            return self._state
