"""Consuming: one connection a process, a subscription for each queue, acknowledgements in batches."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pika

from services.worker.inbox import Delivery, Inbox
from services.worker.subscription import Subscription
from taskyard.rabbitmq.connection import ConnectionThread, describe
from taskyard.rabbitmq.topology import QueueType
from taskyard.tls import Tls


class Consumer:
    """Subscribes to queues and keeps it so; all of RabbitMQ's callbacks run in its thread.

    Args:
        url: Where RabbitMQ is.
        queues: The queues to consume.
        prefetch: Deliveries that each may have unacknowledged, to begin with.
        queue_type: The type that queues are declared with.
        on_arrival: Called, in the thread, after each delivery.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        prefetch: int,
        queue_type: QueueType,
        on_arrival: Callable[[], None],
        name: str,
        tls: Tls,
    ) -> None:
        self.inbox = Inbox(on_arrival)
        self._subscriptions = {
            queue: Subscription(queue, self.inbox, prefetch=prefetch, queue_type=queue_type)
            for queue in queues
        }
        self._paused: set[str] = set()
        self._thread = ConnectionThread(
            url,
            name=f"taskyard {name}",
            on_connected=self._connected,
            on_lost=self._lost,
            tls=tls,
        )

    def start(self) -> None:
        """Begin to connect and to consume."""
        self._thread.start()

    def problems(self) -> list[str]:
        """Return what keeps queues from being consumed; empty if all are."""
        return [s.problem for s in self._subscriptions.values() if s.problem]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries soon; those of a lost connection come again anyway."""
        if deliveries:
            self._thread.call(lambda: self._each(deliveries, Subscription.ack))

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return deliveries to their queues soon."""
        if deliveries:
            self._thread.call(lambda: self._each(deliveries, Subscription.hand_back))

    def set_prefetch(self, queue: str, prefetch: int) -> None:
        """Subscribe anew with another prefetch."""
        self._thread.call(lambda: self._subscriptions[queue].set_prefetch(prefetch))

    def prefetch(self, queue: str) -> int:
        """Return the prefetch of a queue."""
        return self._subscriptions[queue].prefetch

    def make_room(self, waiting: Mapping[str, int]) -> None:
        """Let other deliveries come beside those that wait for something else than a slot.

        Args:
            waiting: How many of each queue do.
        """
        self._thread.call(lambda: self._make_room(waiting))

    def pause(self, queues: Collection[str]) -> None:
        """Consume these queues no more for now, and give back what waits here of them."""
        self._thread.call(lambda: self._set_paused(self._paused | set(queues)))

    def set_paused(self, queues: Collection[str]) -> None:
        """Consume all queues but these."""
        self._thread.call(lambda: self._set_paused(set(queues)))

    def stop_consuming(self) -> None:
        """Take no more deliveries, and hand back those that wait for a slot."""
        self._thread.call(self._cancel)

    def close(self) -> None:
        """Close the connection: what is not acknowledged goes back to its queue. Safe to call twice."""
        self._thread.stop()

    # From here on everything runs in the connection's thread.

    def _connected(self, connection: pika.SelectConnection) -> None:
        for subscription in self._subscriptions.values():
            subscription.open(connection)

    def _lost(self, reason: BaseException) -> None:
        for subscription in self._subscriptions.values():
            subscription.lost(f"no connection: {describe(reason)}")

    def _cancel(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.cancel()
        self._each(self.inbox.drop(lambda _: False), Subscription.hand_back)

    def _set_paused(self, queues: set[str]) -> None:
        self._paused = queues
        for name, subscription in self._subscriptions.items():
            subscription.set_paused(name in queues)
        self._each(self.inbox.drop(lambda d: d.queue not in queues), Subscription.hand_back)

    def _make_room(self, waiting: Mapping[str, int]) -> None:
        for name, subscription in self._subscriptions.items():
            subscription.make_room(waiting.get(name, 0))

    def _each(
        self, deliveries: Iterable[Delivery], act: Callable[[Subscription, list[Delivery]], None]
    ) -> None:
        by_queue: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_queue.setdefault(delivery.queue, []).append(delivery)
        for queue, its_own in by_queue.items():
            act(self._subscriptions[queue], its_own)
