"""The chores that send the outcomes of jobs to those who requested them over AMQP."""

import logging
import threading
from collections.abc import Callable, Sequence

import msgspec

from services.scheduler.chores.outcome_sender import OutcomeSender
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.direct_replies import DirectReplies, is_direct
from taskyard.runtime.apart import Apart
from taskyard.store.replies import OwedReply
from taskyard.telemetry.metrics import REPLIES, REPLIES_OWED

logger = logging.getLogger(__name__)

#: Jobs of one pass, each with a reply of a megabyte at most; a full pass is followed by the next at once.
LIMIT = 50
#: What another sender waits for longer than the deadlines of two publishes, before it takes over. Seconds.
MARGIN_S = 2.0
#: How long the direct replies of one pass have together; the rest is left for the next. Seconds.
DIRECT_S = 1.0
#: Most jobs whose direct replies wait, beside those to names that are known; others come again.
MOST_DIRECT = 1000


class SendOutcomes:
    """Publishes the outcomes that the store says are owed, and has them forgotten once they are confirmed.

    A sender that dies in between leaves them to the next, so a reply comes at least once. One whose queue is
    gone is given up, and one that its queue refuses, or that could not be sent, after `REPLY_TTL`.

    Args:
        dispatcher: Where the jobs are, and what publishes.
        direct: What sends those that go to no queue.
        settings: How long to try.
    """

    def __init__(
        self, dispatcher: Dispatcher, direct: "SendDirectOutcomes", settings: Settings
    ) -> None:
        self._direct = direct
        self._store = dispatcher.store
        self._publisher = dispatcher.publisher
        self._deadline_s = settings.publish_deadline_s
        self._ttl_ms = settings.reply_ttl * 1000
        self._sender = OutcomeSender(
            self._store,
            lambda replies: self._publisher.publish_replies(replies, deadline_s=self._deadline_s),
            Apart("reply"),
            settings,
            max_bytes=lambda: self._publisher.max_bytes,
        )

    def run_once(self) -> float | None:
        """Send what is owed; return 0 if there may be more.

        Raises:
            Unavailable: If store or RabbitMQ does not answer; what was not confirmed is sent later.
        """
        if not self._publisher.is_ready:
            return None
        again_ms = round((2 * self._deadline_s + MARGIN_S) * 1000)
        owed, count = self._store.take_replies(again_ms, LIMIT)
        REPLIES_OWED.set(count)
        if not owed:
            return None
        given_up = [each for each in owed if self._is_given_up(each)]
        alive = [each for each in owed if each not in given_up]
        direct = _only(alive, is_direct)
        self._direct.add(direct)
        sent = self._sender.send(_only(alive, lambda name: not is_direct(name)))
        self._store.mark_replied([*sent, *given_up])
        done = {each.job_id for each in (*sent, *given_up)} - {each.job_id for each in direct}
        REPLIES_OWED.set(count - len(done))
        return 0 if len(owed) == LIMIT else None

    def _is_given_up(self, owed: OwedReply) -> bool:
        """Return whether to give up, as the job is gone or `REPLY_TTL` has passed; count and log that."""
        is_there = owed.age_ms >= 0 and bool(owed.recipients)
        if is_there and owed.age_ms <= self._ttl_ms:
            return False
        why = "too_old" if is_there else "no_record"
        REPLIES.labels(why).inc(len(owed.recipients) or 1)
        logger.warning("outcome not told: %s", why, extra={"job_id": owed.job_id})
        return True


class SendDirectOutcomes:
    """Sends the outcomes that go to direct reply-to names, which have no queue, in a loop of its own.

    Any producer can give a name that costs a connection, so nothing else may wait for these; and those with
    names that are known wait for no others.

    Args:
        dispatcher: Where the jobs are.
        direct: What publishes them.
        settings: How long a reply may be.
    """

    def __init__(self, dispatcher: Dispatcher, direct: DirectReplies, settings: Settings) -> None:
        self._direct = direct
        self._store = dispatcher.store
        self._apart = Apart("direct reply")
        self._sender = OutcomeSender(
            self._store,
            lambda replies: direct.publish(replies, deadline_s=DIRECT_S),
            self._apart,
            settings,
            max_bytes=lambda: direct.max_bytes,
        )
        self._waiting: dict[str, OwedReply] = {}
        self._changed = threading.Condition()

    def add(self, owed: Sequence[OwedReply]) -> None:
        """Have these sent soon; what finds no room, or is not sent, stays owed."""
        with self._changed:
            for each in owed:
                has_room = len(self._waiting) < MOST_DIRECT or self._is_known(each)
                if has_room or each.job_id in self._waiting:
                    self._waiting[each.job_id] = each
            self._changed.notify()

    def await_work(self, timeout_s: float) -> None:
        """Return when something waits, after `timeout_s` at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout_s)

    def run_once(self) -> float | None:
        """Send what waits; return 0 if there is more.

        Raises:
            Unavailable: If the store does not answer; what was not sent stays owed.
        """
        taken = self._take()
        sent = self._sender.send(taken)
        self._store.mark_replied(sent)
        done = {each.job_id for each in sent}
        with self._changed:
            # In their order, before all others: however many bad names there are, each costs one connection.
            unsent = {
                each.job_id: each
                for each in taken
                if each.job_id not in done and not self._apart.rests(each.job_id)
            }
            self._waiting = unsent | self._waiting
            return 0 if self._waiting else None

    def _take(self) -> list[OwedReply]:
        with self._changed:
            taken = sorted(self._waiting.values(), key=lambda each: not self._is_known(each))
            return [self._waiting.pop(each.job_id) for each in taken[:LIMIT]]

    def _is_known(self, owed: OwedReply) -> bool:
        return all(self._direct.is_known(recipient.reply_to) for recipient in owed.recipients)


def _only(owed: Sequence[OwedReply], is_wanted: Callable[[str], bool]) -> list[OwedReply]:
    """Return what is owed to the names that `is_wanted` accepts."""
    parts = [
        msgspec.structs.replace(
            each, recipients=[one for one in each.recipients if is_wanted(one.reply_to)]
        )
        for each in owed
    ]
    return [each for each in parts if each.recipients]
