"""One queue's subscription: its channel, what is unacknowledged on it, and how it comes back when lost."""

import logging
from collections.abc import Sequence

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic, BasicProperties

from services.worker.consuming.inbox import Delivery, Inbox
from services.worker.consuming.returns import Returns
from services.worker.consuming.silence import Silence
from taskyard.errors import QueueMismatch
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.connection import AmqpConnection, describe
from taskyard.rabbitmq.in_hand import InHand, Sizes, is_off
from taskyard.rabbitmq.topology import QueueType

logger = logging.getLogger(__name__)

#: Pause before a queue whose channel was closed is tried again, in seconds.
REOPEN_S = 1.0
#: The same where it exists with other arguments: only a person can mend that.
MISMATCH_REOPEN_S = 30.0
#: Bytes that may come at a time beside them, as far as is known how large deliveries are.
AHEAD_BYTES = 32 * 1024 * 1024
#: Most deliveries that wait beside those for the slots, as dead letters do while RabbitMQ takes none.
MAX_BESIDE = 1_000


class Subscription:
    """Keeps one queue consumed; all its methods run in the connection's thread.

    Args:
        queue: The queue.
        inbox: Where deliveries go.
        ahead: Deliveries that may come, to begin with.
        queue_type: The type that the queue is declared with.
        is_shared: Other queues have the same slots.
        returns: How deliveries go back to a quorum queue.
        hand: How many bytes of all queues are here.
    """

    def __init__(
        self,
        queue: str,
        inbox: Inbox,
        *,
        ahead: int,
        queue_type: QueueType,
        is_shared: bool,
        returns: Returns,
        hand: InHand,
    ) -> None:
        self.queue = queue
        #: What keeps the queue from being consumed; empty if it is.
        self.problem = "not connected yet"
        self._inbox = inbox
        self._queue_type = queue_type
        self._connection: AmqpConnection | None = None
        self._version = (0, 0)
        self._channel: Channel | None = None
        #: Of the consumer, where there is one, with its prefetch.
        self._consumer_tag = ""
        self._prefetch = 0
        #: The last delivery on the channel, and the last before the consumer's first, by their tags.
        self._last_delivery = 0
        self._before_consumer = 0
        self._is_renewing = False
        self._ahead = ahead
        self._is_shared = is_shared
        self._returns = returns
        self._silence = Silence(
            queue, is_waiting=self._is_waiting, deliveries=lambda: self._last_delivery
        )
        self._hand = hand
        self._sizes = Sizes(AHEAD_BYTES)
        #: Too many bytes are here for more.
        self._is_full = False
        #: How long they are, in the order of their delivery.
        self._unacked: dict[int, int] = {}
        self._is_declared = False
        self._is_cancelled = False
        self._is_paused = False

    def open(self, connection: AmqpConnection) -> None:
        """Open a channel on `connection`, declare the queue and consume it."""
        self._connection = connection
        self._reopen()

    def _reopen(self) -> None:
        if self._connection is not None and self._connection.is_open and not self._is_cancelled:
            self._is_declared = False
            self._connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Channel) -> None:
        assert self._connection is not None
        self._version = topology.server_version(self._connection.server_properties)
        self._silence.begin(self._connection, channel)
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(lambda _: self._cancelled(channel))
        topology.declare(
            channel,
            self.queue,
            version=self._version,
            queue_type=self._queue_type,
            done=lambda: self._declared(channel),
        )

    def _declared(self, channel: Channel) -> None:
        self._channel = channel
        self._is_declared = True
        self._consume()

    def _consume(self) -> None:
        if self._channel is None or not self._channel.is_open or self._is_cancelled:
            return
        if self._is_paused or self._is_full or not self._ahead:
            self._consuming()  # nothing is wrong with it
            return
        self._prefetch = self._sizes.bounded(self._ahead)
        self._before_consumer = self._last_delivery
        self._channel.basic_qos(prefetch_count=self._prefetch)
        self._consumer_tag = self._channel.basic_consume(
            self.queue,
            self._delivered,
            arguments=topology.consumer_arguments(
                version=self._version, queue_type=self._queue_type
            ),
            callback=lambda _: self._consuming(),
        )

    def _consuming(self) -> None:
        self.problem = ""

    def _delivered(
        self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        tag = self._last_delivery = method.delivery_tag or 0
        size = len(body)
        self._sizes.saw(size)
        if not self._hand.takes(size):
            self._is_full = True
            self._renew()
            channel.basic_nack(tag, requeue=True)  # after that, or it would come again at once
            return
        self._unacked[tag] = size
        if self._is_ill_sized:
            self._renew()
        self._inbox.put(Delivery(self.queue, tag, body, properties, channel))

    @property
    def _is_ill_sized(self) -> bool:
        """Whether much less should come at a time, as what comes is large, or more again."""
        wanted = self._sizes.bounded(self._ahead)
        is_lowered = self._prefetch < self._ahead
        is_off_now = wanted * 2 <= self._prefetch if wanted < self._ahead else is_lowered
        return bool(self._prefetch) and is_off_now

    def _cancelled(self, channel: Channel) -> None:
        """The queue was deleted, or RabbitMQ takes back what was not acknowledged in time."""
        logger.warning("queue is consumed anew: RabbitMQ ended it", extra={"queue": self.queue})
        if channel.is_open:
            channel.close()

    def _closed(self, channel: Channel, reason: BaseException) -> None:
        """RabbitMQ has put everything unacknowledged back into the queue; begin anew after a pause."""
        was_declared = self._is_declared
        self._forget(channel)
        pause_s = REOPEN_S
        self.problem = f"queue {self.queue!r}: {describe(reason)}"
        if isinstance(reason, ChannelClosedByBroker):
            if not was_declared:
                error = topology.declare_error(self.queue, reason)
                self.problem = str(error)
                pause_s = MISMATCH_REOPEN_S if isinstance(error, QueueMismatch) else REOPEN_S
            logger.error("queue is not consumed: %s", self.problem, extra={"queue": self.queue})
        if self._connection is not None and self._connection.is_open:
            self._connection.ioloop.call_later(pause_s, self._reopen)

    def lost(self, problem: str) -> None:
        """Forget the channel: its connection is gone."""
        self._connection = None
        self.problem = problem
        if self._channel is not None:
            self._forget(self._channel)

    def _forget(self, channel: Channel) -> None:
        self._inbox.remove(lambda delivery: delivery.channel is channel)
        if self._channel is channel:
            self._channel = None
            unacked, self._unacked = self._unacked, {}
            self._is_full = False
            self._consumer_tag = ""
            self._prefetch = self._last_delivery = self._before_consumer = 0
            self._is_renewing = False
            self._hand.drop(sum(unacked.values()))

    def cancel(self) -> None:
        """Take no more deliveries; those unacknowledged stay ours."""
        self._is_cancelled = True
        self._renew()

    def set_paused(self, is_paused: bool) -> None:
        """Consume no more, or again; what is unacknowledged stays ours."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self._renew()

    def fit(self, ahead: int, held: Sequence[Delivery]) -> None:
        """Let `ahead` deliveries come beside those that are `held`, for long and by no free slot.

        RabbitMQ applies a prefetch to a new consumer only, and counts by consumer: what one has
        unacknowledged does not count for the next on its channel, of classic and quorum queues. So the queue
        is consumed anew when what may come is off by a factor of two; and with 0 ahead no more, if anything
        could come, or other queues would never get their turn.
        """
        self._ahead = ahead
        ahead = self._sizes.bounded(ahead)
        room = max(0, self._prefetch - sum(map(self._is_of_consumer, held)))
        is_wrong = is_off(room, ahead) or (
            ahead == 0 and self._is_shared and bool(self._consumer_tag)
        )
        if is_wrong and (ahead < room or len(held) <= MAX_BESIDE):
            self._renew()

    def _is_waiting(self) -> bool:
        """Whether RabbitMQ owes an answer, or could deliver something."""
        ours = sum(tag > self._before_consumer for tag in self._unacked)
        return self._channel is None or self._is_renewing or ours < self._prefetch

    def _is_of_consumer(self, delivery: Delivery) -> bool:
        return delivery.channel is self._channel and delivery.tag > self._before_consumer

    def _renew(self) -> None:
        """End the consumer, if there is one, and consume as is wanted by then."""
        if self._channel is None or not self._channel.is_open or self._is_renewing:
            return
        if not self._consumer_tag:
            self._consume()
            return
        consumer_tag, self._consumer_tag, self._prefetch = self._consumer_tag, "", 0
        self._is_renewing = True
        self._channel.basic_cancel(consumer_tag, callback=lambda _: self._renewed())

    def _renewed(self) -> None:
        self._is_renewing = False
        self._consume()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries: the oldest ones in a row by a single frame."""
        channel = self._channel
        tags = {d.tag for d in deliveries if d.channel is channel and d.tag in self._unacked}
        if channel is None or not channel.is_open or not tags:
            return
        last = 0
        for tag in self._unacked:  # in order of delivery
            if tag not in tags:
                break
            last = tag
        if last:
            channel.basic_ack(last, multiple=True)
        for tag in tags:
            if tag > last:
                channel.basic_ack(tag)
            self._hand.drop(self._unacked.pop(tag))

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return deliveries to the queue, where each keeps its priority."""
        ours = [d for d in deliveries if d.channel is self._channel and d.tag in self._unacked]
        if topology.is_quorum(self._version, self._queue_type):
            ours = self._returns.take(ours)
        self.requeue(ours)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Have RabbitMQ put deliveries back: to their places, but in front of all others of a quorum queue.

        By nack, which never counts against a quorum queue's limit.
        """
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        for delivery in deliveries:
            if delivery.channel is channel and delivery.tag in self._unacked:
                channel.basic_nack(delivery.tag, requeue=True)
                self._hand.drop(self._unacked.pop(delivery.tag))

    def go_on(self) -> None:
        """Consume again, if that was ended for too many bytes; there is room now."""
        if self._is_full:
            self._is_full = False
            self._renew()
