"""The way back to a quorum queue: published again, confirmed, and only then acknowledged.

What is requeued there goes in front of all priorities, and without order where a channel is closed
(https://www.rabbitmq.com/docs/quorum-queues). The second message of an attempt does no harm if both are there
for a moment, or for good: whichever comes first is claimed.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

from pika.spec import BasicProperties

from services.worker.consuming.inbox import Delivery
from taskyard.rabbitmq.bodies import Beginning
from taskyard.rabbitmq.in_hand import portion
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.lifecycle import Loop

#: Deliveries of one pass, and bytes of them.
BATCH = 200
BATCH_BYTES = 8 * 1024 * 1024
#: Longest wait for the next ones in one piece, in seconds.
WAIT_S = 1.0
#: What RabbitMQ counts in a delivery's headers, for each message anew.
_COUNTS = {"x-delivery-count", "x-acquired-count"}
#: Headers by which a message goes to other queues, too.
_COPIES = {"CC", "BCC"}


class Returns:
    """Publishes deliveries again, in the order in which they were given up, in a loop of its own.

    Args:
        publisher: What publishes them: an alarm of RabbitMQ would block the consumer's connection with it.
        deadline_s: Longest wait for the confirms of a pass, in seconds.
        done: Acknowledges those that are confirmed.
        failed: Takes those that are not.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        deadline_s: float,
        done: Callable[[Sequence[Delivery]], None],
        failed: Callable[[Sequence[Delivery]], None],
    ) -> None:
        self._publisher = publisher
        self._deadline_s = deadline_s
        self._done = done
        self._failed = failed
        self._waiting: deque[Delivery] = deque()
        self._changed = threading.Condition()
        self._is_started = False
        self._loop = Loop("returns", self._run_once, interval_s=WAIT_S, await_work=self._await)

    def take(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Take deliveries; return those that cannot be published again as they are."""
        going: list[Delivery] = []
        staying: list[Delivery] = []
        for each in deliveries:
            is_whole = not isinstance(each.body, Beginning)
            (going if is_whole and _is_sendable(each.properties) else staying).append(each)
        with self._changed:
            self._waiting.extend(going)
            if going and not self._is_started:
                self._is_started = True
                self._loop.start()
            self._changed.notify_all()
        return staying

    def by_queue(self) -> Counter[str]:
        """Return how many are under way, by queue."""
        with self._changed:
            return Counter(each.queue for each in self._waiting)

    def stop(self) -> None:
        """Return when all are back, or after the deadline; safe to call twice."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, self._deadline_s)
        self._loop.stop(0)

    def _await(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout_s)

    def _run_once(self) -> float | None:
        """Bring some back; return 0 if there may be more."""
        with self._changed:
            batch = portion(
                self._waiting, lambda each: len(each.body), most=BATCH, most_bytes=BATCH_BYTES
            )
        going = [each for each in batch if each.is_open]  # others are back already
        # An alarm may last: what waits for its end would be out of every worker's reach.
        unconfirmed = range(len(going)) if self._publisher.is_blocked else self._publish(going)
        self._done([each for place, each in enumerate(going) if place not in unconfirmed])
        self._failed([going[place] for place in unconfirmed])
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            self._changed.notify_all()
        return 0 if batch else None

    def _publish(self, deliveries: Sequence[Delivery]) -> Collection[int]:
        """Publish again; return the places of those that are not confirmed."""
        messages = [_again(each) for each in deliveries]
        return self._publisher.publish_each(messages, deadline_s=self._deadline_s, is_whole=False)


def _is_sendable(properties: BasicProperties) -> bool:
    """Return whether a message may be published by us, and would be the same, in this queue alone."""
    headers = properties.headers or {}
    return (
        isinstance(properties.message_id, str)
        and properties.message_id != ""
        and properties.user_id is None  # RabbitMQ would refuse another's
        and properties.expiration is None  # its time would begin anew
        and not _COPIES & headers.keys()
    )


def _again(delivery: Delivery) -> Outgoing:
    properties = delivery.properties
    headers = {k: v for k, v in (properties.headers or {}).items() if k not in _COUNTS}
    properties.headers = headers or None
    return Outgoing(
        queue=delivery.queue,
        body=delivery.body,
        id=properties.message_id or "",
        properties=properties,
    )
