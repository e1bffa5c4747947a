"""Which confirm of RabbitMQ is about which message, and when all messages of a caller are confirmed."""

import threading
import time
from collections.abc import Callable
from itertools import takewhile

from msgspec import Struct

from taskyard.errors import BrokerUnavailable, MessageTooLarge, TaskyardError
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.size_limit import why_too_large


class Undelivered(Struct, frozen=True):
    """Replies that did not arrive: there is no such queue, or it refused them (it is full)."""

    no_queue: list[Outgoing]
    refused: list[Outgoing]


class Failure(Struct, frozen=True):
    """Why RabbitMQ did not confirm a message, and whether it may have it all the same."""

    error: TaskyardError
    may_arrive: bool


class Batch:
    """One `publish` call: how many of its messages are open yet, and whether they belong together.

    Args:
        size: How many messages it has.
        is_whole: Nothing is sent where a queue cannot be declared.
    """

    def __init__(self, size: int, *, is_whole: bool = True) -> None:
        self.open = size
        self.is_whole = is_whole
        self.is_abandoned = False
        self.undelivered = Undelivered([], [])
        self.done = threading.Event()

    def close_one(self) -> None:
        """Count one message as confirmed or failed; the last one lets the caller go."""
        self.open -= 1
        if not self.open:
            self.done.set()


class UnconfirmedMessage(Struct):
    """One message on its way."""

    batch: Batch
    message: Outgoing
    is_returned: bool = False
    #: It was sent before, and no queue took it.
    is_again: bool = False
    #: It was sent, and RabbitMQ has not said that it does not have it.
    may_arrive: bool = False
    is_confirmed: bool = False
    sent_at: float = 0.0
    error: TaskyardError | None = None

    def confirm(self) -> None:
        """Note that RabbitMQ has it."""
        self.is_confirmed = True
        self.batch.close_one()

    def conclude(self, *, is_ack: bool) -> None:
        """Confirm a reply, whether it was taken or not."""
        if self.is_returned:
            self.batch.undelivered.no_queue.append(self.message)
        elif not is_ack:
            self.batch.undelivered.refused.append(self.message)
        self.confirm()

    def refuse(self, error: TaskyardError) -> None:
        """Note that RabbitMQ does not have it, and why."""
        self.may_arrive = False
        self.lose(error)

    def lose(self, error: TaskyardError) -> None:
        """Note that its confirm will not come, and why."""
        self.error = error
        self.batch.close_one()


def parted(
    entries: list[UnconfirmedMessage], missing: set[str]
) -> tuple[list[UnconfirmedMessage], list[UnconfirmedMessage]]:
    """Return what can go now, and what waits for queues that have to be declared."""
    if not missing:
        return entries, []
    if entries[0].batch.is_whole:
        return [], entries
    going = [entry for entry in entries if entry.message.queue not in missing]
    return going, [entry for entry in entries if entry.message.queue in missing]


class Sent:
    """What a channel has sent and RabbitMQ not confirmed yet, by delivery tag, in order of sending.

    Args:
        clock: Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[int, UnconfirmedMessage] = {}
        self._next_tag = 1
        #: When a message to this queue was last confirmed.
        self._confirmed_at: dict[str, float] = {}

    def begin(self) -> None:
        """Count the tags from 1, as RabbitMQ does on a new channel."""
        self._next_tag = 1
        self._confirmed_at.clear()

    def add(self, entry: UnconfirmedMessage) -> None:
        """Take note of what is being sent now."""
        entry.sent_at = self._clock()
        self._entries[self._next_tag] = entry
        self._next_tag += 1

    def stuck(self, patience_s: float) -> str:
        """Return a queue that has confirmed nothing for so long, while something waits for it; or nothing.

        A single message may wait for much longer where those after it are confirmed.
        """
        before = self._clock() - patience_s
        for entry in self._entries.values():
            queue = entry.message.queue
            if max(entry.sent_at, self._confirmed_at.get(queue, 0.0)) < before:
                return queue
        return ""

    def take(self, last_tag: int, *, multiple: bool) -> list[UnconfirmedMessage]:
        """Return what a confirm is about: one message, or all up to it; they are forgotten here."""
        if not multiple:
            tags = [last_tag] if last_tag in self._entries else []
        else:
            tags = list(takewhile(lambda tag: tag <= last_tag, self._entries))
        entries = [self._entries.pop(tag) for tag in tags]
        now = self._clock()
        self._confirmed_at.update((entry.message.queue, now) for entry in entries)
        return entries

    def mark_returned(self, message_id: str | None, queue: str | None) -> None:
        """Take note that no queue took a message; its confirm follows."""
        for entry in self._entries.values():
            message = entry.message
            is_it = message.id == message_id and message.queue == queue
            if is_it and not entry.is_returned:  # ids need not be unique among those on their way
                entry.is_returned = True
                return

    def fail(self, why: str, *, max_bytes: int | None = None) -> None:
        """Let all callers go that wait for these messages: their confirms will not come.

        Args:
            why: What became of the channel.
            max_bytes: Closed for a message that is larger: such are refused for good.
        """
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            size = len(entry.message.body)
            if max_bytes is not None and size > max_bytes:
                entry.refuse(MessageTooLarge(why_too_large(size, max_bytes)))
                continue
            entry.lose(BrokerUnavailable(f"RabbitMQ did not confirm: {why}"))
