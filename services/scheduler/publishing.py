"""Publishing for many queues at once, where one that is out of order must not hold up the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.publisher import Publisher

logger = logging.getLogger(__name__)


class Queued(Protocol):
    """Something that goes to a queue."""

    @property
    def queue(self) -> str:
        """The queue's name."""


Q = TypeVar("Q", bound=Queued)


def publish_apart(
    items: Sequence[Q],
    publish_each: Callable[[Sequence[Q]], Mapping[int, Failure]],
    publisher: Publisher,
) -> list[Q]:
    """Publish all at once, each by itself; return those that were confirmed.

    Raises:
        Unavailable: If none was, and RabbitMQ as a whole is away.
    """
    if not items:
        return []
    failures = publish_each(items)
    for queue, error in {items[place].queue: failures[place].error for place in failures}.items():
        logger.error("queue is not published to: %s", error, extra={"queue": queue})
    if len(failures) == len(items) and not publisher.is_ready:
        raise failures[0].error
    return [item for place, item in enumerate(items) if place not in failures]
