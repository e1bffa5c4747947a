"""Publishing for many queues at once, where one that is out of order must not hold up the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from taskyard.apart import Apart
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
    *,
    resting: Apart | None = None,
) -> list[Q]:
    """Publish all at once, each by itself; return those that were confirmed.

    What goes to a queue that rests is left for later: one that never confirms would cost a deadline a pass.

    Args:
        items: What to publish.
        publish_each: Publishes, and says by place what was not confirmed.
        publisher: What it publishes with.
        resting: Knows the queues that took nothing lately; None: none rests.

    Raises:
        Unavailable: If none was confirmed, and RabbitMQ as a whole is away.
    """
    if resting is not None:
        resting.forget_gone()
        items = [item for item in items if not resting.rests(item.queue)]
    if not items:
        return []
    failures = publish_each(items)
    if len(failures) == len(items) and not publisher.is_ready:
        raise failures[0].error
    published = [item for place, item in enumerate(items) if place not in failures]
    taken = {item.queue for item in published}
    for queue, error in {items[place].queue: failures[place].error for place in failures}.items():
        if resting is None or queue in taken:
            logger.error("message is not published: %s", error, extra={"queue": queue})
        else:
            resting.failed(queue, error)
    if resting is not None:
        for queue in taken:
            resting.went_well(queue)
    return published
