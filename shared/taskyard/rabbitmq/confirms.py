"""Which confirm of RabbitMQ is about which message, and when all messages of a caller are confirmed."""

import threading
from itertools import takewhile

from msgspec import Struct

from taskyard.errors import BrokerUnavailable, TaskyardError
from taskyard.rabbitmq.outgoing import Outgoing


class Untaken(Struct, frozen=True):
    """Replies that did not arrive: there is no such queue, or it refused them (it is full)."""

    no_queue: list[Outgoing]
    refused: list[Outgoing]


class Batch:
    """One `publish` call: how many of its messages are not confirmed yet, and what went wrong."""

    def __init__(self, size: int) -> None:
        self.unconfirmed = size
        self.error: TaskyardError | None = None
        self.is_abandoned = False
        self.untaken = Untaken([], [])
        self.done = threading.Event()

    def confirm(self) -> None:
        """Count one message as confirmed; the last one lets the caller go."""
        self.unconfirmed -= 1
        if not self.unconfirmed:
            self.done.set()

    def conclude(self, entry: "Entry", *, is_ack: bool) -> None:
        """Confirm a reply, whether it was taken or not."""
        if entry.is_returned:
            self.untaken.no_queue.append(entry.message)
        elif not is_ack:
            self.untaken.refused.append(entry.message)
        self.confirm()

    def fail(self, error: TaskyardError) -> None:
        """Let the caller go with an error."""
        self.error = error
        self.done.set()


class Entry(Struct):
    """One message on its way."""

    batch: Batch
    message: Outgoing
    is_returned: bool = False
    #: It was sent before, and no queue took it.
    is_again: bool = False


class Sent:
    """What a channel has sent and RabbitMQ not confirmed yet, by delivery tag, in order of sending."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._next_tag = 1

    def begin(self) -> None:
        """Count the tags from 1, as RabbitMQ does on a new channel."""
        self._next_tag = 1

    def add(self, entry: Entry) -> None:
        """Take note of what is being sent now."""
        self._entries[self._next_tag] = entry
        self._next_tag += 1

    def take(self, last_tag: int, *, multiple: bool) -> list[Entry]:
        """Return what a confirm is about: one message, or all up to it; they are forgotten here."""
        if not multiple:
            entry = self._entries.pop(last_tag, None)
            return [] if entry is None else [entry]
        tags = list(takewhile(lambda tag: tag <= last_tag, self._entries))
        return [self._entries.pop(tag) for tag in tags]

    def mark_returned(self, message_id: str | None, queue: str | None) -> None:
        """Take note that no queue took a message; its confirm follows."""
        for entry in self._entries.values():
            message = entry.message
            is_it = message.id == message_id and message.queue == queue
            if is_it and not entry.is_returned:  # ids need not be unique among those on their way
                entry.is_returned = True
                return

    def fail(self, why: str) -> None:
        """Let all callers go that wait for these messages: their confirms will not come."""
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            entry.batch.fail(BrokerUnavailable(f"RabbitMQ did not confirm: {why}"))
