"""Publishing for many queues at once, where one that is out of order must not hold up the others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from taskyard.errors import Unavailable
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.apart import Apart

logger = logging.getLogger(__name__)

#: How long a queue that takes nothing is left alone at most. Seconds.
QUEUE_REST_S = 10.0


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
    resting: Apart,
) -> list[Q]:
    """Publish all at once, each by itself; return those that were confirmed.

    What goes to a queue that rests is left for later: one that never confirms would cost a deadline a pass.

    Args:
        items: What to publish.
        publish_each: Publishes, and says by place what was not confirmed.
        publisher: What it publishes with.
        resting: Knows the queues that took nothing lately from this caller.

    Raises:
        Unavailable: If none was confirmed, and RabbitMQ as a whole is away.
    """
    resting.forget_gone()
    awake = [item for item in items if not resting.rests(item.queue)]
    if not awake:
        return []
    failures = publish_each(awake)
    if len(failures) == len(awake) and not publisher.is_ready:
        for failure in failures.values():
            if isinstance(failure.error, Unavailable):
                raise failure.error
    published = [item for place, item in enumerate(awake) if place not in failures]
    taken = {item.queue for item in published}
    for queue, error in {awake[place].queue: failures[place].error for place in failures}.items():
        if queue not in taken:
            resting.failed(queue, error)
        else:
            logger.error("message is not published: %s", error, extra={"queue": queue})
    for queue in taken:
        resting.went_well(queue)
    return published
