"""Whether the API can serve: the store answers, and RabbitMQ takes messages."""

from concurrent.futures import ThreadPoolExecutor

from taskyard.errors import TaskyardError
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store import JobStore

#: A probe waits about two seconds, whatever the store's own deadline is. Seconds.
DEADLINE_S = 1.5


class Readiness:
    """Finds what keeps the API from serving.

    Args:
        store: Pinged each time.
        publisher: Whose connection must be there.
        deadline_s: Longest wait for the store, in seconds.
    """

    def __init__(
        self, store: JobStore, publisher: Publisher, *, deadline_s: float = DEADLINE_S
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._deadline_s = deadline_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="readiness")

    def problems(self) -> list[str]:
        """Return what is wrong, a sentence each; empty if the API serves."""
        found = self._store_problems()
        if not self._publisher.is_ready:
            found.append(f"RabbitMQ takes no messages now: {self._publisher.state}")
        return found

    def _store_problems(self) -> list[str]:
        ping = self._pool.submit(self._store.ping)
        try:
            ping.result(self._deadline_s)
        except TimeoutError:
            ping.cancel()  # it may still wait behind another that hangs
            return [f"the store did not answer within {self._deadline_s:g} s"]
        except TaskyardError as error:
            return [str(error)]
        return []
