"""Consuming: one connection a process, a subscription for each queue, acknowledgements in batches."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from services.worker.consuming.inbox import Delivery, Inbox
from services.worker.consuming.returns import Returns
from services.worker.consuming.subscription import Subscription
from taskyard.rabbitmq.connection import AmqpConnection, ConnectionThread, describe
from taskyard.rabbitmq.in_hand import InHand
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import QueueType
from taskyard.runtime.tls import Tls

#: Bytes of deliveries that may be here beside those of the slots. With so many nothing is taken.
MOST_BYTES = 96 * 1024 * 1024
#: Longest wait for the connection's thread, which never does anything for long. Seconds.
ANSWER_S = 1.0


class Consumer:
    """Subscribes to queues and keeps it so; all of RabbitMQ's callbacks run in its thread.

    Args:
        url: Where RabbitMQ is.
        queues: The queues to consume.
        prefetch: Deliveries that each may have unacknowledged, to begin with.
        publisher: Publishes what goes back to a quorum queue.
        deadline_s: Longest wait for RabbitMQ to confirm that, in seconds.
        queue_type: The type that queues are declared with.
        on_arrival: Called, in the thread, after each delivery.
        name: What the connection is called in RabbitMQ's own views.
        whole_max_bytes: Longest message that is read as a whole, of others the beginning.
        slots_bytes: What the messages of all slots may take together.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[str],
        *,
        prefetch: int,
        publisher: Publisher,
        deadline_s: float,
        queue_type: QueueType,
        on_arrival: Callable[[], None],
        name: str,
        whole_max_bytes: int,
        slots_bytes: int,
        tls: Tls,
    ) -> None:
        self.inbox = Inbox(on_arrival)
        self._hand = InHand(slots_bytes + MOST_BYTES, self._go_on)
        self._returns = Returns(
            publisher, deadline_s=deadline_s, done=self.ack, failed=self._requeue
        )
        self._subscriptions = {
            queue: Subscription(
                queue,
                self.inbox,
                ahead=prefetch,
                queue_type=queue_type,
                is_shared=len(queues) > 1,
                returns=self._returns,
                hand=self._hand,
            )
            for queue in queues
        }
        self._paused: set[str] = set()
        #: What was asked last: a connection may end before it hears of it, and the next begins with it.
        self._fit_request: tuple[Mapping[str, int], Sequence[Delivery]] | None = None
        self._is_stopping = False
        self._thread = ConnectionThread(
            url,
            name=f"taskyard {name}",
            on_connected=self._connected,
            on_lost=self._lost,
            whole_max_bytes=whole_max_bytes,
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

    def going_back(self) -> Mapping[str, int]:
        """Return how many deliveries are on their way back to quorum queues, by queue."""
        return self._returns.by_queue()

    def _requeue(self, deliveries: Sequence[Delivery]) -> None:
        self._thread.call(lambda: self._each(deliveries, Subscription.requeue))

    def fit(self, ahead: Mapping[str, int], held: Sequence[Delivery]) -> None:
        """Let so many deliveries of each queue come beside those that are held here; of other queues none.

        It holds for connections to come, too.
        """
        self._fit_request = ahead, held
        self._thread.call(lambda: self._fit(ahead, held))

    def pause(self, queues: Collection[str]) -> None:
        """Consume these queues no more for now, and give back what waits here of them."""
        self._thread.call(lambda: self._set_paused(self._paused | set(queues)))

    def set_paused(self, queues: Collection[str]) -> None:
        """Consume all queues but these."""
        self._thread.call(lambda: self._set_paused(set(queues)))

    def stop_consuming(self) -> None:
        """Take no more deliveries, not by a later connection either; hand back those that wait for a slot."""
        self._is_stopping = True
        self._wait_for(self._cancel)

    def close(self) -> None:
        """Close the connection: what is not acknowledged goes back to its queue. Safe to call twice."""
        self._wait_for(lambda: None)
        self._returns.stop()
        self._thread.stop()

    def _wait_for(self, function: Callable[[], None]) -> None:
        """Run a function in the connection's thread, after all that it has been told, and wait for that."""
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        if self._thread.call(run):
            done.wait(ANSWER_S)

    # From here on everything runs in the connection's thread.

    def _connected(self, connection: AmqpConnection) -> None:
        if self._is_stopping:
            return
        if self._fit_request is not None:
            self._fit(*self._fit_request)
        for subscription in self._subscriptions.values():
            subscription.open(connection)

    def _lost(self, reason: BaseException) -> None:
        for subscription in self._subscriptions.values():
            subscription.lost(f"no connection: {describe(reason)}")

    def _cancel(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.cancel()
        self._each(self.inbox.remove(lambda _: True), Subscription.hand_back)

    def _set_paused(self, queues: set[str]) -> None:
        self._paused = queues
        for name, subscription in self._subscriptions.items():
            subscription.set_paused(name in queues)
        self._each(self.inbox.remove(lambda d: d.queue in queues), Subscription.hand_back)

    def _go_on(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.go_on()

    def _fit(self, ahead: Mapping[str, int], held: Sequence[Delivery]) -> None:
        by_queue: dict[str, list[Delivery]] = {}
        for delivery in held:
            by_queue.setdefault(delivery.queue, []).append(delivery)
        for name, subscription in self._subscriptions.items():
            subscription.fit(ahead.get(name, 0), by_queue.get(name, []))

    def _each(
        self, deliveries: Iterable[Delivery], act: Callable[[Subscription, list[Delivery]], None]
    ) -> None:
        by_queue: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_queue.setdefault(delivery.queue, []).append(delivery)
        for queue, its_own in by_queue.items():
            act(self._subscriptions[queue], its_own)
