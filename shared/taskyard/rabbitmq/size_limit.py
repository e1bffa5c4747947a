"""How large messages may be: for taskyard, and for RabbitMQ, whose `max_message_size` AMQP never names."""

import logging
import math
import re
from typing import Any, NamedTuple

from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.config import Settings
from taskyard.errors import MessageTooLarge
from taskyard.message import MESSAGE_SLACK_BYTES
from taskyard.rabbitmq.connect_once import blocking
from taskyard.runtime.tls import Tls
from taskyard.submission import ROOM_BYTES

logger = logging.getLogger(__name__)

#: A routing key of no queue, for what is published to see whether RabbitMQ takes it.
NOWHERE = "taskyard.nowhere"
#: Longest wait for that while an alarm blocks publishers. Seconds.
BLOCKED_S = 5.0

_LIMIT = re.compile(r"larger than configured max size (\d+)")
_PRECONDITION_FAILED = 406


class Largest(NamedTuple):
    """How large messages may be, in bytes, and the setting that this follows from."""

    size_bytes: int
    setting: str


def largest(settings: Settings) -> Largest:
    """Return the size of the largest message that a service may publish."""
    return max(
        Largest(settings.payload_max_bytes + MESSAGE_SLACK_BYTES, "PAYLOAD_MAX_BYTES"),
        Largest(settings.dead_letter_max_bytes, "DEAD_LETTER_MAX_BYTES"),
        Largest(settings.result_max_bytes + ROOM_BYTES, "RESULT_MAX_BYTES"),
    )


def limit_in(reason: Any) -> int | None:
    """Return RabbitMQ's `max_message_size`, where it has closed a channel for a message above it."""
    if getattr(reason, "reply_code", 0) != _PRECONDITION_FAILED:
        return None
    match = _LIMIT.search(str(reason))
    return int(match[1]) if match else None


def why_too_large(size: int, limit: int) -> str:
    """Return what to tell of a message that RabbitMQ does not take."""
    return f"RabbitMQ takes messages up to {limit} bytes and this has {size}: raise its max_message_size"


class SizeLimit:
    """What one connection knows: RabbitMQ tells its bound as it closes the channel of what is above it."""

    def __init__(self) -> None:
        self._max_bytes = math.inf

    @property
    def max_bytes(self) -> float:
        """The bound, as far as is known."""
        return self._max_bytes

    def forget(self) -> None:
        """Know nothing: the next connection may be to another host."""
        self._max_bytes = math.inf

    def learn(self, reason: BaseException) -> int | None:
        """Return the bound, where that is why a channel was closed, and remember it."""
        limit = limit_in(reason)
        if limit is not None:
            self._max_bytes = limit
        return limit

    def refusal(self, body: bytes) -> MessageTooLarge | None:
        """Return why RabbitMQ does not take a message; None if it does, as far as is known."""
        if len(body) <= self._max_bytes:
            return None
        return MessageTooLarge(why_too_large(len(body), int(self._max_bytes)))


class SizeTrial:
    """Finds out whether RabbitMQ takes the largest message that there may be, by publishing one to no queue.

    Args:
        url: Where RabbitMQ is.
        largest: How large that is.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(self, url: str, largest: Largest, *, tls: Tls) -> None:
        self._url = url
        self._largest = largest
        self._tls = tls
        self._is_over = False
        #: What RabbitMQ does not take that it should; empty if nothing is known of that.
        self.problem = ""

    def run_once(self) -> None:
        """Try it, unless that is over: once it was taken. While RabbitMQ is away nothing is learnt."""
        if self._is_over:
            return
        try:
            # Its own connection: an alarm would block all that goes over it.
            with blocking(
                self._url, name="taskyard size", tls=self._tls, blocked_timeout_s=BLOCKED_S
            ) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                channel.basic_publish("", NOWHERE, bytes(self._largest.size_bytes))
        except ChannelClosedByBroker as error:
            limit = limit_in(error)
            if limit is not None and not self.problem:
                size, setting = self._largest
                self.problem = (
                    f"messages may have {size} bytes ({setting}), and RabbitMQ takes up to {limit} bytes:"
                    f" raise its max_message_size, or lower {setting}"
                )
                logger.error("messages may be too large: %s", self.problem)
        except (AMQPError, OSError) as error:
            logger.debug("size of messages is not tried: %s", type(error).__name__)
        else:
            self._is_over, self.problem = True, ""
