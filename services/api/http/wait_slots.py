"""Requests that wait, for a job or for RabbitMQ: a bounded number, so that others do not starve."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from services.api.auth import bindings
from services.api.http import request_metrics
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable
from taskyard.job import TERMINAL, Job
from taskyard.store.jobs import Created, NewJob

#: A wait looks this often whether the server is stopping, or the client has left. Seconds.
SLICE_S = 1.0


class WaitSlots:
    """The slots of waiting requests; a request that finds none free is answered at once.

    Jobs are submitted through here, as a submission waits for RabbitMQ.

    Args:
        dispatcher: Whose store and publisher are waited for.
        read: Gives jobs by their ids.
        count: How many requests may wait at a time.
        is_stopping: Whether the server is about to stop: then waits end early.
        has_left: Whether the client of this request has left: likewise.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        read: Callable[[Sequence[str]], Sequence[Job | None]],
        *,
        count: int,
        is_stopping: Callable[[], bool],
        has_left: Callable[[], bool] = lambda: False,
    ) -> None:
        self._dispatcher = dispatcher
        self._read = read
        self._slots = threading.BoundedSemaphore(count)
        request_metrics.WAITS_LIMIT.set(count)
        self._is_stopping = is_stopping
        self._has_left = has_left

    def job(self, job_id: str, wait_s: float) -> Job | None:
        """Return the job once it has ended, or as it is after `wait_s` seconds.

        Where no slot is free it is returned at once, as it is.
        """
        if wait_s > 0:
            with self._slot() as is_free:
                if is_free:
                    return self._until_it_ends(job_id, wait_s)
        return self._read([job_id])[0]

    def dispatch(self, job: NewJob) -> Created:
        """Record and publish the job; while RabbitMQ is away, only from a wait slot.

        Raises:
            OutOfReach: If the key of the request is bound to other tasks or queues.
            InTheWay: If a job that the key may not access has the id, or the lock, of one.
            NotUnique: If one like it lives, and the task's policy is to reject.
            Unavailable: If the store or RabbitMQ did not answer in time, or too many wait for it.
            QueueMismatch: If the job's queue exists with other arguments.
        """
        (bound,) = bindings.bind([job])
        with self._way_to_broker():
            return self._dispatcher.submit(bound)

    def dispatch_all(self, jobs: Sequence[NewJob]) -> list[Created]:
        """Record and publish jobs, all or none; while RabbitMQ is away, only from a wait slot.

        Raises:
            OutOfReach: If the key of the request is bound to other tasks or queues.
            InTheWay: If a job that the key may not access has the id, or the lock, of one.
            Unavailable: If the store or RabbitMQ did not answer in time, or too many wait for it.
            QueueMismatch: If a queue exists with other arguments.
        """
        bound = bindings.bind(jobs)
        with self._way_to_broker():
            return self._dispatcher.dispatch(bound)

    @contextmanager
    def _way_to_broker(self) -> Iterator[None]:
        publisher = self._dispatcher.publisher
        if publisher.is_ready:
            yield
            return
        with self._slot() as is_free:
            if not is_free:
                raise BrokerUnavailable(f"RabbitMQ takes no messages now: {publisher.state}")
            yield

    def _until_it_ends(self, job_id: str, wait_s: float) -> Job | None:
        deadline = time.monotonic() + wait_s
        while True:
            left_s = deadline - time.monotonic()
            job = self._dispatcher.store.wait(job_id, max(0.0, min(left_s, SLICE_S)))
            is_over = left_s <= SLICE_S or self._is_stopping() or self._has_left()
            if job is None or job.state in TERMINAL or is_over:
                return job

    @contextmanager
    def _slot(self) -> Iterator[bool]:
        is_free = self._slots.acquire(blocking=False)
        if is_free:
            request_metrics.WAITS.inc()
        try:
            yield is_free
        finally:
            if is_free:
                request_metrics.WAITS.dec()
                self._slots.release()
