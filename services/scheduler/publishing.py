"""Publishing for many queues at once, where one that is out of order must not hold up the others."""

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

from taskyard.errors import TaskyardError
from taskyard.rabbitmq.publisher import Publisher

logger = logging.getLogger(__name__)


class Queued(Protocol):
    """Something that goes to a queue."""

    @property
    def queue(self) -> str:
        """The queue's name."""


Q = TypeVar("Q", bound=Queued)


def publish_apart(
    items: Sequence[Q], publish: Callable[[Sequence[Q]], None], publisher: Publisher
) -> list[Q]:
    """Publish all at once or, if that fails, queue by queue; return those that were published.

    Raises:
        Unavailable: If RabbitMQ as a whole is away.
    """
    if not items:
        return []
    try:
        publish(items)
    except TaskyardError:
        if not publisher.is_ready:
            raise
    else:
        return list(items)
    published: list[Q] = []
    for queue, group in groupby(sorted(items, key=_queue), key=_queue):
        jobs = list(group)
        try:
            publish(jobs)
            published += jobs
        except TaskyardError as error:
            logger.error("queue is not published to: %s", error, extra={"queue": queue})
            if not publisher.is_ready:
                raise
    return published


def _queue(item: Queued) -> str:
    return item.queue
