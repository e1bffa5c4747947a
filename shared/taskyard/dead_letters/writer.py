"""Writing dead letters: each is confirmed by RabbitMQ, and then listed in the store's index."""

import logging
from collections.abc import Sequence

from taskyard.dead_letters.message import indexed, shortened
from taskyard.errors import MessageTooLarge, StoreUnavailable
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.apart import all_or_each
from taskyard.store import JobStore

logger = logging.getLogger(__name__)


class DeadLetterWriter:
    """Writes dead letters, for worker and scheduler alike.

    A letter that is confirmed is safe: its job may be failed, and its message acknowledged. Only RabbitMQ
    decides on that. What the store fails to list stays in its queue, where the scheduler's chore finds it.

    Args:
        publisher: What publishes them.
        store: Where they are listed.
        deadline_s: Longest wait for a confirm, in seconds.
    """

    def __init__(self, publisher: Publisher, store: JobStore, *, deadline_s: float) -> None:
        self._publisher = publisher
        self._store = store
        self._deadline_s = deadline_s

    def write(self, letters: Sequence[Outgoing]) -> dict[int, Failure]:
        """Confirm letters, then list those that were; return by place why one was not confirmed."""
        written, failures = self.confirm(letters)
        try:
            self.index([each for place, each in enumerate(written) if place not in failures])
        except StoreUnavailable as error:
            logger.warning("dead letters are not listed yet: %s", error)
        return failures

    def confirm(self, letters: Sequence[Outgoing]) -> tuple[list[Outgoing], dict[int, Failure]]:
        """Publish letters; return them as they were written, and by place why one was not confirmed.

        One that is too large for RabbitMQ is written with the beginning of its message.
        """
        written = list(letters)
        failures = self._publish(written)
        too_large = [
            place
            for place, failure in failures.items()
            if isinstance(failure.error, MessageTooLarge)
        ]
        for place in too_large:
            written[place] = shortened(written[place])
        again = self._publish([written[place] for place in too_large])
        for number, place in enumerate(too_large):
            del failures[place]
            if number in again:
                failures[place] = again[number]
        return written, failures

    def index(self, letters: Sequence[Outgoing]) -> None:
        """Enter letters that are confirmed into the store's index.

        One at which the store fails holds up neither the others nor its job.

        Raises:
            StoreUnavailable: If the store does not answer; it may be called again.
        """

        def enter(some: Sequence[Outgoing]) -> list[None]:
            self._store.index_dead_letters([indexed(letter) for letter in some])
            return [None] * len(some)

        for letter, error in zip(letters, all_or_each(letters, enter), strict=True):
            if error is not None:
                facts = {"job_id": letter.id, "queue": letter.queue}
                logger.error("dead letter is not listed: %s", error, extra=facts)

    def _publish(self, letters: Sequence[Outgoing]) -> dict[int, Failure]:
        if not letters:
            return {}
        failures = self._publisher.publish_each(
            letters, deadline_s=self._deadline_s, is_whole=False
        )
        return dict(failures)
