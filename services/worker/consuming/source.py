"""Where a child's deliveries come from, as the engine and its parts see it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from services.worker.consuming.inbox import Delivery, Inbox


class Source(Protocol):
    """Gives deliveries and takes them back: RabbitMQ's queues, or the suspects in the store."""

    @property
    def inbox(self) -> Inbox:
        """The deliveries that wait for a slot."""

    def start(self) -> None:
        """Begin to take deliveries."""

    def problems(self) -> list[str]:
        """Return what keeps deliveries from coming; empty if nothing does."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Let go of deliveries that are done with."""

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return deliveries to where they came from."""

    def pause(self, queues: Collection[str]) -> None:
        """Take no more of these queues for now."""

    def set_paused(self, queues: Collection[str]) -> None:
        """Take from all queues but these."""

    def stop_consuming(self) -> None:
        """Take no more deliveries, and hand back those that wait for a slot."""

    def close(self) -> None:
        """Let go of whatever is not acknowledged. Safe to call twice."""
