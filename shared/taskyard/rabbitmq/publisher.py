"""Publishing with confirms: many threads' messages on one connection, none waiting for another's confirm."""

import time
from collections.abc import Sequence

from taskyard.errors import BrokerUnavailable, Unpublishable
from taskyard.rabbitmq.confirms import Batch, Failure, UnconfirmedMessage, Undelivered
from taskyard.rabbitmq.outgoing import Outgoing, check_texts
from taskyard.rabbitmq.publish_loop import PublishLoop
from taskyard.rabbitmq.topology import QueueType
from taskyard.runtime.tls import SYSTEM_CAS, Tls
from taskyard.telemetry.metrics import CONFIRM_SECONDS, PUBLISH_BATCH, PUBLISH_FAILURES


class Publisher:
    """Publishes persistent, `mandatory` messages and waits for RabbitMQ to confirm them.

    Args:
        url: Where RabbitMQ is.
        queue_type: The type that queues are declared with.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates, where `url` begins with `amqps:`.
        is_hasty: Whether messages are refused as soon as no host can be reached, as long as none ever was:
            the address is wrong then, rather than the server away for a moment.
        hint: What errors say at their end, while there is no connection.
    """

    def __init__(
        self,
        url: str,
        *,
        queue_type: QueueType = "auto",
        name: str = "publisher",
        tls: Tls = SYSTEM_CAS,
        is_hasty: bool = False,
        hint: str = "",
    ) -> None:
        self._loop = PublishLoop(
            url, queue_type=queue_type, name=name, tls=tls, is_hasty=is_hasty, hint=hint
        )

    def publish_replies(self, replies: Sequence[Outgoing], *, deadline_s: float) -> Undelivered:
        """Publish each by itself; return those that no queue took, or that were not confirmed in time.

        Raises:
            BrokerUnavailable: If RabbitMQ as a whole takes none.
        """
        if not replies:
            return Undelivered([], [])
        batch, entries = self._put_through(replies, deadline_s, is_whole=False)
        failed = [entry.message for entry in entries if entry.error is not None]
        for entry in entries:
            if isinstance(entry.error, BrokerUnavailable) and not self.is_ready:
                raise entry.error
        return Undelivered(batch.undelivered.no_queue, [*batch.undelivered.refused, *failed])

    def publish(self, messages: Sequence[Outgoing], *, deadline_s: float) -> Undelivered:
        """Return when RabbitMQ has confirmed all messages; their queues are declared if they are not there.

        Returns:
            Replies that no queue took, which is no error.

        Raises:
            BrokerUnavailable: If that did not happen in `deadline_s` seconds; some may have been published.
            QueueMismatch: If a queue exists with other arguments.
            Unpublishable: If a message has no form in AMQP.
        """
        if not messages:
            return Undelivered([], [])
        batch, entries = self._put_through(messages, deadline_s, is_whole=True)
        for entry in entries:
            if entry.error is not None:
                raise entry.error
        return batch.undelivered

    def publish_each(
        self, messages: Sequence[Outgoing], *, deadline_s: float, is_whole: bool
    ) -> dict[int, Failure]:
        """Return, by place, what became of the messages that RabbitMQ has not confirmed in time.

        Args:
            messages: What to publish.
            deadline_s: Longest wait, in seconds.
            is_whole: Send nothing if a queue cannot be declared, rather than what goes to others.
        """
        if not messages:
            return {}
        _, entries = self._put_through(messages, deadline_s, is_whole=is_whole)
        return {
            place: Failure(entry.error, entry.may_arrive)
            for place, entry in enumerate(entries)
            if entry.error is not None
        }

    def _put_through(
        self, messages: Sequence[Outgoing], deadline_s: float, *, is_whole: bool
    ) -> tuple[Batch, list[UnconfirmedMessage]]:
        batch = Batch(len(messages), is_whole=is_whole)
        entries = [UnconfirmedMessage(batch, message) for message in messages]
        sendable = [entry for entry in entries if _is_sendable(entry)]
        if is_whole and len(sendable) < len(entries):
            error = next(entry.error for entry in entries if entry.error is not None)
            for entry in sendable:
                entry.refuse(error)
        elif sendable:
            self._await_confirms(batch, sendable, deadline_s)
        if any(entry.error is not None for entry in entries):
            PUBLISH_FAILURES.inc()
        return batch, entries

    def _await_confirms(
        self, batch: Batch, entries: list[UnconfirmedMessage], deadline_s: float
    ) -> None:
        self._loop.put(entries)
        started = time.monotonic()
        is_done = batch.done.wait(deadline_s)
        CONFIRM_SECONDS.observe(time.monotonic() - started)
        PUBLISH_BATCH.observe(len(entries))
        if not is_done:
            self._loop.withdraw(entries, deadline_s=deadline_s)

    @property
    def is_ready(self) -> bool:
        """Whether messages can be published now: connected, and not blocked by an alarm."""
        return self._loop.is_ready

    @property
    def max_bytes(self) -> float:
        """How large a message RabbitMQ takes, as far as is known."""
        return self._loop.max_bytes

    @property
    def is_blocked(self) -> bool:
        """Whether an alarm of RabbitMQ keeps messages from being published."""
        return self._loop.is_blocked

    @property
    def state(self) -> str:
        """In words, what a publisher that is not ready waits for."""
        return self._loop.state

    def start(self) -> None:
        """Begin to connect, where that has not begun; `publish` does it too."""
        self._loop.start()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._loop.close()


def _is_sendable(entry: UnconfirmedMessage) -> bool:
    try:
        check_texts(entry.message)
    except Unpublishable as error:
        entry.refuse(error)
        return False
    return True
