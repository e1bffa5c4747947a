"""Dead letters: each is confirmed by RabbitMQ before its job is failed or its message acknowledged.

In between it is entered into the store's index, so that a job that is failed can be listed and replayed.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from services.worker.consuming.inbox import Delivery
from taskyard.dead_letters.writer import DeadLetterWriter
from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.in_hand import portion
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.apart import Apart
from taskyard.runtime.lifecycle import Loop
from taskyard.store import JobStore
from taskyard.telemetry.metrics import DEAD_LETTERS

logger = logging.getLogger(__name__)

#: Longest pause before those that wait are looked at again, in seconds.
RETRY_S = 1.0
#: Dead letters of one pass, and bytes of them: RabbitMQ has to confirm them within a deadline.
BATCH = 100
BATCH_BYTES = 8 * 1024 * 1024
_numbers = count()


@dataclass(eq=False)
class _Letter:
    """A dead letter that waits, first for RabbitMQ and then for the store."""

    message: Outgoing
    reason: str
    delivery: Delivery
    then: Callable[[], None]
    is_confirmed: bool = False
    #: What tells it from all others: ids need not be unique, or there.
    name: str = field(default_factory=lambda: f"letter {next(_numbers)}")


class PendingDeadLetters:
    """Publishes dead letters in a loop of its own, again and again until RabbitMQ takes them.

    Slots do not wait for it: meanwhile the job's lease is kept alive and its delivery unacknowledged. A queue
    that takes none rests, as does a single letter among others that are taken; the others go on.

    Args:
        publisher: What publishes them.
        store: Where they are indexed.
        deadline_s: Longest wait for a confirm, in seconds.
        on_waiting: Called whenever some are left that RabbitMQ or the store do not take.
    """

    def __init__(
        self,
        publisher: Publisher,
        store: JobStore,
        *,
        deadline_s: float,
        on_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._publisher = publisher
        self._writer = DeadLetterWriter(publisher, store, deadline_s=deadline_s)
        self._deadline_s = deadline_s
        self._on_waiting = on_waiting
        self._waiting: deque[_Letter] = deque()
        self._wake = threading.Event()
        self._apart = Apart("dead letter")
        self._loop = Loop(
            "dead_letters",
            self._run_once,
            interval_s=RETRY_S,
            await_work=self._await_work,
            max_pause_s=RETRY_S,
        )

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def write(
        self, letter: Outgoing, reason: str, delivery: Delivery, then: Callable[[], None]
    ) -> None:
        """Publish the letter of a delivery, and call `then` once it is confirmed."""
        self._waiting.append(_Letter(letter, reason, delivery, then))
        self._wake.set()
        if self._apart or not self._publisher.is_ready or self._loop.is_failing:
            self._on_waiting()

    def __len__(self) -> int:
        """Return how many are not confirmed yet."""
        return len(self._waiting)

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries whose letters are not confirmed yet."""
        return [each.delivery for each in list(self._waiting)]

    def problems(self) -> list[str]:
        """Return which dead letters are not taken; empty if all are."""
        if self._loop.is_failing:
            return [f"{len(self)} dead letters wait: RabbitMQ or the store does not take them"]
        return self._apart.problems()

    def stop(self) -> None:
        """Stop; what was not confirmed is left to the leases. Safe to call twice."""
        self._loop.stop(0)
        self._wake.set()
        self._loop.stop(2 * self._deadline_s + 1)  # a pass may publish twice

    def _await_work(self, timeout_s: float) -> None:
        self._wake.wait(timeout_s)

    def _run_once(self) -> float | None:
        """Publish some, and be done with what is confirmed; return 0 if there may be more.

        Raises:
            Unavailable: If RabbitMQ as a whole, or the store, is away.
        """
        self._wake.clear()
        awake = list(filter(self._is_awake, list(self._waiting)))
        letters = portion(awake, _size, most=BATCH, most_bytes=BATCH_BYTES)
        try:
            self._publish([each for each in letters if not each.is_confirmed])
            self._finish([each for each in letters if each.is_confirmed])
        finally:
            if self._waiting:
                self._on_waiting()
        return 0 if len(letters) < len(awake) else None

    def _is_awake(self, letter: _Letter) -> bool:
        return (
            not (self._apart.rests(letter.name) or self._apart.rests(_queue(letter)))
            or letter.is_confirmed
        )

    def _publish(self, letters: Sequence[_Letter]) -> None:
        if not letters:
            return
        written, failures = self._writer.confirm([each.message for each in letters])
        for place, letter in enumerate(letters):
            letter.message = written[place]
            letter.is_confirmed = place not in failures
        taken = {_queue(each) for each in letters if each.is_confirmed}
        errors = {letters[place]: failure.error for place, failure in failures.items()}
        if errors and not self._publisher.is_ready:
            self._finish([each for each in letters if each.is_confirmed])
            raise BrokerUnavailable(f"dead letters wait: {self._publisher.state}")
        # A queue that took others is not at fault, but the letter is; else the queue, and it once for all.
        resting = {
            letter.name if _queue(letter) in taken else _queue(letter): error
            for letter, error in errors.items()
        }
        for name, error in resting.items():
            self._apart.failed(name, error)
        for name in taken:
            self._apart.went_well(name)

    def _finish(self, letters: Sequence[_Letter]) -> None:
        """Index what is confirmed, and let its job be failed: without the store it could not be."""
        self._writer.index([each.message for each in letters])
        for letter in letters:
            self._waiting.remove(letter)
            self._apart.went_well(letter.name)
            DEAD_LETTERS.labels(letter.message.queue, letter.reason).inc()
            letter.then()


def _size(letter: _Letter) -> int:
    return len(letter.message.body)


def _queue(letter: _Letter) -> str:
    return f"queue {letter.message.queue}"
