"""Work on many items whose jobs are dispatched together: all queues that hang cost a pass one deadline."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from services.scheduler.publishing import QUEUE_REST_S
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, QueueMismatch
from taskyard.runtime.apart import Apart
from taskyard.store.jobs import Created, NewJob

#: What is done with one item: it gives the job to dispatch, if there is one, and gets what became of it.
Steps = Generator[NewJob, Created, None]


class _Begun(NamedTuple):
    name: str
    steps: Steps
    job: NewJob


class JointDispatch:
    """Takes each item to its end, whatever becomes of the others.

    Args:
        dispatcher: How jobs are published.
        items: Knows which items rest, as they failed by themselves.
        queues: What the queues are called that rest, as they took no messages.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        items: Apart,
        queues: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._items = items
        self._queues = Apart(queues, max_rest_s=QUEUE_REST_S, clock=clock)

    def queue_rests(self, queue: str) -> bool:
        """Return whether no job is to be made for a queue for now."""
        return self._queues.rests(queue)

    def run(self, items: Iterable[tuple[str, Steps]]) -> None:
        """Take all as far as their jobs, dispatch these, and take all to their end.

        Raises:
            Unavailable: If the store is away, or RabbitMQ as a whole.
        """
        begun: list[_Begun] = []
        for name, steps in items:
            job = self._advance(name, partial(next, steps))
            if job is not None:
                begun.append(_Begun(name, steps, job))
        made = self._dispatch([each.job for each in begun])
        self._learn(begun, made)
        for each, one in zip(begun, made, strict=True):
            if isinstance(one, Created):
                self._advance(each.name, partial(each.steps.send, one))
            else:
                self._advance(each.name, partial(each.steps.throw, one))

    def _advance(self, name: str, step: Callable[[], NewJob]) -> NewJob | None:
        """Take an item as far as its job, or to its end; whatever it raises is its own trouble."""
        try:
            return step()
        except StopIteration:
            self._items.went_well(name)
        except Exception as error:
            if self._items.is_shared(error):
                raise
            self._items.failed(name, error)
        return None

    def _dispatch(self, jobs: Sequence[NewJob]) -> list[Created | Exception]:
        """Dispatch all at once, or each alone where one makes that fail; return what became of each."""
        if not jobs:
            return []
        try:
            return list(self._dispatcher.dispatch_each(jobs))
        except Exception as error:
            if self._items.is_shared(error):
                raise
            if len(jobs) == 1:
                return [error]
        return [one for job in jobs for one in self._dispatch([job])]

    def _learn(self, begun: Sequence[_Begun], made: Sequence[Created | Exception]) -> None:
        """Take note of the queues that take no messages, and of those that do again."""
        pairs = [(each.job.queue, one) for each, one in zip(begun, made, strict=True)]
        taking = {
            queue
            for queue, one in pairs
            if isinstance(one, Created) and (one.is_new or one.is_unconfirmed)
        }
        refusing = {
            queue: one
            for queue, one in pairs
            if isinstance(one, BrokerUnavailable | QueueMismatch) and queue not in taking
        }
        for queue in taking:
            self._queues.went_well(queue)
        for queue, error in refusing.items():
            self._queues.failed(queue, error)
