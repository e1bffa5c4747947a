"""Who alone may take all messages of a queue: quorum queues do not heed `exclusive` of a consumer."""

from typing import Any

#: RabbitMQ's code for an exclusive queue of another connection.
LOCKED = 405


def lock(channel: Any, queue: str) -> None:
    """Hold the lock of a queue until the connection of `channel` ends.

    It is a queue that only this connection may have. No work queue's name has a space in it.

    Raises:
        ChannelClosedByBroker: If another has it, with `LOCKED`.
    """
    channel.queue_declare(f"{queue} lock", exclusive=True, auto_delete=True)
