"""Dead letters: each is confirmed by RabbitMQ before its job is failed or its message acknowledged.

In between it is entered into the store's index, so that a job that is failed can be listed and replayed.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from taskyard.dead_letters import indexed
from taskyard.errors import TaskyardError, Unavailable
from taskyard.metrics import DEAD_LETTERS
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store import JobStore

logger = logging.getLogger(__name__)

#: Pause before a refused dead letter is tried again, in seconds.
RETRY_S = 1.0


class Burial:
    """Publishes dead letters in a thread of its own, again and again until RabbitMQ takes them.

    Slots do not wait for it: meanwhile the job's lease is kept alive and its delivery unacknowledged.

    Args:
        publisher: What publishes them.
        store: Where they are indexed.
        deadline_s: Longest wait for a confirm, in seconds.
    """

    def __init__(self, publisher: Publisher, store: JobStore, *, deadline_s: float) -> None:
        self._publisher = publisher
        self._store = store
        self._deadline_s = deadline_s
        self._waiting: deque[tuple[Outgoing, str, Callable[[], None]]] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="burial", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def bury(self, letter: Outgoing, reason: str, then: Callable[[], None]) -> None:
        """Publish `letter` and call `then` once it is confirmed."""
        self._waiting.append((letter, reason, then))
        self._wake.set()

    def __len__(self) -> int:
        """Return how many are not confirmed yet."""
        return len(self._waiting)

    def stop(self) -> None:
        """Stop; what was not confirmed is left to the leases. Safe to call twice."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._deadline_s + 1)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping.is_set():
                return
            while self._waiting and not self._stopping.is_set():
                self._bury_batch(list(self._waiting)[:100])

    def _bury_batch(self, batch: list[tuple[Outgoing, str, Callable[[], None]]]) -> None:
        try:
            self._publisher.publish([entry[0] for entry in batch], deadline_s=self._deadline_s)
        except TaskyardError as error:
            logger.error("dead letters wait: %s", error)
            self._stopping.wait(RETRY_S)
            return
        self._index([entry[0] for entry in batch])
        for letter, reason, then in batch:
            self._waiting.popleft()
            DEAD_LETTERS.labels(letter.queue, reason).inc()
            then()

    def _index(self, letters: list[Outgoing]) -> None:
        """Enter confirmed letters; without the store their jobs could not be failed either."""
        while not self._stopping.is_set():
            try:
                self._store.bury([indexed(letter) for letter in letters])
                return
            except Unavailable as error:
                logger.error("dead letters wait for the store: %s", error)
                self._stopping.wait(RETRY_S)
            except Exception:
                # They are in their queue, where the scheduler finds and indexes them.
                logger.exception("dead letters are not indexed")
                return
