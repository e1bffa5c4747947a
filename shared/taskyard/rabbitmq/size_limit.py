"""What is known of RabbitMQ's `max_message_size`, which AMQP has no word for."""

import logging
import math

from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.errors import MessageTooLarge
from taskyard.rabbitmq.connect_once import blocking
from taskyard.rabbitmq.message_size import Largest, limit_told, why_too_large
from taskyard.runtime.tls import Tls

logger = logging.getLogger(__name__)

#: A routing key of no queue, for what is published to see whether RabbitMQ takes it.
NOWHERE = "taskyard.nowhere"
#: Longest wait for that while an alarm blocks publishers. Seconds.
BLOCKED_S = 5.0


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
        limit = limit_told(reason)
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
            limit = limit_told(error)
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
