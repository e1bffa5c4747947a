"""The intake's connection: what it reads of submissions, replies to, and acknowledges."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

import pika
from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from services.scheduler.intake.received import AnsweredSubmission, ReceivedSubmission, received
from services.scheduler.intake.replies import Replies
from taskyard.errors import QueueMismatch
from taskyard.rabbitmq import topology
from taskyard.rabbitmq.connection import ConnectionThread, describe
from taskyard.rabbitmq.direct_replies import DirectReplies
from taskyard.rabbitmq.in_hand import InHand, Sizes, is_off
from taskyard.rabbitmq.topology import QueueType
from taskyard.runtime.tls import SYSTEM_CAS, Tls

logger = logging.getLogger(__name__)

#: Submissions of each queue that one intake may have unacknowledged, beside those that wait: as few as cost
#: no speed, for while it is frozen no other gets them.
PREFETCH = 64
#: Most of those that wait, for queues that take no messages or after a failure, beside which others come.
MOST_BESIDE = 450
#: Bytes of their bodies: of submissions that are taken, and of those beside which others come.
AHEAD_BYTES = 32 * 1024 * 1024
MOST_BESIDE_BYTES = 96 * 1024 * 1024
#: How often the intake's queue is bound anew at most, while submissions come that found none. Seconds.
BIND_S = 1.0
#: Pauses before the queue is consumed again after its channel was closed: doubled while it is closed again,
#: and the longest at once where a queue is in the way that only an operator can mend. Seconds.
REOPEN_MIN_S = 1.0
REOPEN_MAX_S = 30.0
#: Pause before it is looked again whether there is room for replies. Seconds.
REPLY_ROOM_S = 0.05


class IntakeConsumer:
    """Consumes `taskyard.intake`, which it declares with all that leads there, and `taskyard.unrouted`.

    What is in the second is a submission too: its queue, or the binding of that, was gone when it came.

    Args:
        url: Where RabbitMQ is.
        direct: What publishes replies without a queue.
        queue_type: The type that queues are declared with.
        whole_max_bytes: Longest submission that is read as a whole, of others the beginning.
        tls: The certificates, where `url` begins with `amqps:`.
    """

    def __init__(
        self,
        url: str,
        direct: DirectReplies,
        *,
        queue_type: QueueType,
        whole_max_bytes: int | None = None,
        tls: Tls = SYSTEM_CAS,
    ) -> None:
        self._replies = Replies(direct)
        #: What was answered while no reply could be sent.
        self._unanswered: list[AnsweredSubmission] = []
        #: What keeps the queues from being consumed; empty if they are.
        self.problem = "not connected yet"
        self._queue_type = queue_type
        self._connection: pika.SelectConnection | None = None
        self._version = (0, 0)
        self._channel: Channel | None = None
        self._consumers: list[str] = []
        self._prefetch = PREFETCH
        self._is_renewing = False
        #: Too many bytes are in hand for more.
        self._is_full = False
        self._hand = InHand(AHEAD_BYTES, self._go_on)
        self._sizes = Sizes(AHEAD_BYTES)
        #: How long what is unacknowledged is, by delivery tag.
        self._unacked: dict[int, int] = {}
        self._beside = 0
        self._bound_at = 0.0
        self._waiting: deque[ReceivedSubmission] = deque()
        self._changed = threading.Condition()
        self._thread = ConnectionThread(
            url,
            name="taskyard intake",
            on_connected=self._connected,
            on_lost=self._lost,
            whole_max_bytes=whole_max_bytes,
            tls=tls,
        )
        self._is_started = False
        self._reopen_s = REOPEN_MIN_S

    def start(self) -> None:
        """Begin to connect."""
        self._is_started = True
        self._thread.start()

    def close(self) -> None:
        """Close the connection: what is unacknowledged goes back to the queue; safe to call twice."""
        if self._is_started:
            self._thread.stop()

    def await_work(self, timeout_s: float) -> None:
        """Return when there is a submission, after `timeout_s` at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout_s)

    def take(self, limit: int) -> list[ReceivedSubmission]:
        """Return submissions in the order of their coming, at most `limit`."""
        with self._changed:
            return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def put_back(self, submissions: Sequence[ReceivedSubmission]) -> None:
        """Have `take` return these again, unless RabbitMQ has taken them back meanwhile."""
        with self._changed:
            ours = [each for each in submissions if each.channel is self._channel]
            self._waiting.extendleft(reversed(ours))

    def ours(self, submissions: Iterable[ReceivedSubmission]) -> list[ReceivedSubmission]:
        """Return those of these that RabbitMQ has not taken back."""
        with self._changed:
            return [each for each in submissions if each.channel is self._channel]

    def make_room(self, waiting: int, waiting_bytes: int) -> None:
        """Let others come beside `waiting` submissions that cannot be dealt with yet, up to `MOST_BESIDE`.

        RabbitMQ counts by consumer what is unacknowledged: it does not count for the next on the channel.
        """
        self._beside = min(self._beside, waiting)
        most_bytes = AHEAD_BYTES + min(waiting_bytes, MOST_BESIDE_BYTES)
        self._thread.call(lambda: self._hand.bound(most_bytes))
        if self._beside + self._prefetch / 2 <= waiting <= MOST_BESIDE:
            self._beside = waiting
            self._thread.call(self._consume_anew)

    def finish(self, answers: Sequence[AnsweredSubmission]) -> None:
        """Reply where `reply_to` is set, then acknowledge; without a connection submissions come again."""
        self._thread.call(lambda: self._finish(answers))

    # From here on everything runs in the connection's thread.

    def _finish(self, answers: Sequence[AnsweredSubmission]) -> None:
        channel = self._channel
        if channel is None or not channel.is_open or not answers:
            return
        if self._replies.is_full and self._connection is not None and not self._unanswered:
            self._connection.ioloop.call_later(REPLY_ROOM_S, self._can_reply)
        if self._replies.is_full or not self._replies.is_open:
            self._unanswered.extend(answers)
            return
        for answer in answers:
            submission = answer.submission
            if submission.channel is not channel:
                continue
            if submission.reply_to and answer.reply:
                self._replies.send(submission.reply_to, answer.reply, submission.correlation_id)
            channel.basic_ack(submission.tag)
            self._hand.drop(self._unacked.pop(submission.tag, 0))

    def _can_reply(self) -> None:
        answers, self._unanswered = self._unanswered, []
        self._finish(answers)

    def _connected(self, connection: pika.SelectConnection) -> None:
        self._connection = connection
        self._replies.open(connection, is_open=self._can_reply)
        connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Channel) -> None:
        assert self._connection is not None
        self._version = topology.server_version(self._connection.server_properties)
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(lambda _: self._cancelled(channel))
        topology.declare_front_door(
            channel,
            version=self._version,
            queue_type=self._queue_type,
            done=lambda: self._declared(channel),
        )

    def _cancelled(self, channel: Channel) -> None:
        """One of the queues was deleted; the other may be, too, while the channel closes."""
        if channel.is_open:
            channel.close()

    def _declared(self, channel: Channel) -> None:
        self._channel = channel
        self._bound_at = time.monotonic()
        self._consume(channel)

    def _consume(self, channel: Channel) -> None:
        if self._is_full or self._consumers:
            return
        arguments = topology.consumer_arguments(version=self._version, queue_type=self._queue_type)
        self._prefetch = self._sizes.bounded(PREFETCH)
        channel.basic_qos(prefetch_count=self._prefetch)
        self._consumers = [
            channel.basic_consume(queue, delivered, arguments=arguments, callback=consuming)
            for queue, delivered, consuming in (
                (topology.UNROUTED, self._delivered_unrouted, None),
                (topology.INTAKE_QUEUE, self._delivered, self._consuming),
            )
        ]

    def _consuming(self, _frame: object) -> None:
        self.problem = ""
        self._reopen_s = REOPEN_MIN_S

    def _consume_anew(self) -> None:
        """End the consumers, if there are any, and consume as is wanted by then."""
        channel = self._channel
        if channel is None or not channel.is_open or self._is_renewing:
            return
        if not self._consumers:
            self._consume(channel)
            return
        (*others, last), self._consumers = self._consumers, []
        self._is_renewing = True
        for tag in others:
            channel.basic_cancel(tag)
        channel.basic_cancel(last, callback=lambda _: self._renewed(channel))

    def _renewed(self, channel: Channel) -> None:
        if channel is self._channel:
            self._is_renewing = False
            self._consume(channel)

    def _go_on(self) -> None:
        """Consume again: that was ended for too many bytes, and there is room now."""
        self._is_full = False
        self._consume_anew()

    def _is_taken(self, channel: Channel, tag: int, size: int) -> bool:
        """Return whether there is room for a delivery; else it goes back, and no more come for now."""
        self._sizes.saw(size)
        if not self._hand.takes(size):
            self._is_full = True
            self._consume_anew()
            channel.basic_nack(tag, requeue=True)  # after that, or it would come again at once
            return False
        self._unacked[tag] = size
        if is_off(self._prefetch, self._sizes.bounded(PREFETCH)):
            self._consume_anew()
        return True

    def _delivered_unrouted(
        self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        """Take it like any other, and see to it that the next ones find the intake's queue.

        Where the queue itself is gone, RabbitMQ closes the channel: then it is declared anew.
        """
        now = time.monotonic()
        if now >= self._bound_at + BIND_S:
            self._bound_at = now
            logger.warning("submissions found no queue: the intake's is bound anew")
            topology.bind_intake(channel, done=lambda: None)
        self._delivered(channel, method, properties, body)

    def _delivered(
        self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        if not self._is_taken(channel, method.delivery_tag or 0, len(body)):
            return
        submission = received(channel, method, properties, body)
        with self._changed:
            self._waiting.append(submission)
            self._changed.notify()

    def _closed(self, _channel: Channel, reason: BaseException) -> None:
        was_declared = self._channel is not None
        error = reason if was_declared else topology.declare_error(topology.INTAKE_QUEUE, reason)
        self._forget(f"intake: {describe(error)}")
        if self._connection is not None and self._connection.is_open:
            logger.error("intake is not consumed: %s", self.problem)
            pause_s = REOPEN_MAX_S if isinstance(error, QueueMismatch) else self._reopen_s
            self._reopen_s = min(REOPEN_MAX_S, 2 * self._reopen_s)
            self._connection.ioloop.call_later(pause_s, self._reopen)

    def _reopen(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=self._opened)

    def _lost(self, reason: BaseException) -> None:
        self._connection = None
        self._replies.lost()
        self._unanswered.clear()
        self._forget(f"RabbitMQ: {describe(reason)}")

    def _forget(self, problem: str) -> None:
        """RabbitMQ has put everything unacknowledged back into the queue."""
        self.problem = problem
        with self._changed:
            self._channel = None
            self._waiting.clear()
        self._consumers = []
        self._is_full = self._is_renewing = False
        unacked, self._unacked = self._unacked, {}
        self._hand.drop(sum(unacked.values()))
