"""The chore that takes running jobs from workers that are gone, and retries them or writes dead letters."""

import logging
import math
import os
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from services.scheduler import traces
from services.scheduler.chores import lost_jobs
from services.scheduler.chores.leases import outage_ms
from services.scheduler.chores.lost_jobs import LostJob, Rules, decide_lost
from services.scheduler.publishing import QUEUE_REST_S, publish_apart
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dead_letters.writer import DeadLetterWriter
from taskyard.errors import BrokerUnavailable, TaskyardError, Unavailable
from taskyard.job import Job
from taskyard.message import new_id
from taskyard.policy.decide import Waits, waits
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.apart import Apart, all_or_each
from taskyard.store import JobStore
from taskyard.store.attempts import Lost
from taskyard.telemetry.metrics import DEAD_LETTERS, JOBS_RECLAIMED

logger = logging.getLogger(__name__)

#: Jobs of one pass; a full pass is followed by the next at once.
LIMIT = 100


class Reclaim:
    """Reclaims lost jobs; each is held by this process's own lease until it is settled.

    One that fails by itself, or whose queue takes no dead letter, is put aside: it stays with us until its
    rest is over, so that it takes no place in the passes between.

    Args:
        store: Where the jobs are.
        publisher: What publishes dead letters.
        settings: Limits of jobs, and deadlines.
        rng: Where the jitter of retries comes from.
    """

    def __init__(
        self, store: JobStore, publisher: Publisher, settings: Settings, rng: random.Random
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._writer = DeadLetterWriter(publisher, store, deadline_s=settings.publish_deadline_s)
        self._settings = settings
        self._rules = Rules(settings, announced_waits(Catalogue(store), settings), rng)
        self._owner = _new_owner()
        # Long enough to wait for a confirm, for that of what had to be cut, and to settle after them.
        self._lease_s = max(settings.lease_s, 3 * settings.publish_deadline_s)
        # What rests is ours until then.
        longest_s = self._lease_s / 2
        self._apart = Apart("lost job", max_rest_s=longest_s)
        self._resting = Apart("queue of reclaim", max_rest_s=min(QUEUE_REST_S, longest_s))
        #: The latest attempts whose dead letters are in their queues and that could not be settled yet.
        self._written: deque[tuple[str, int]] = deque(maxlen=10 * LIMIT)
        #: When what we hold by then is given back, to be lost anew.
        self._leave_at = 0.0

    def run_once(self) -> float | None:
        """Settle what was lost; return 0 if there may be more.

        Raises:
            Unavailable: If dead letters could not be published; their jobs are lost again, for anyone.
        """
        self._apart.forget_gone()
        # What is held by then was put aside, or taken by an answer that never came.
        kept_until = self._leave_at
        if kept_until <= time.monotonic():
            self._give_back()
            kept_until = math.inf
        self._leave_at = 0.0  # a pass that ends by an error gives back whatever it has taken
        lost = self._store.lost(
            self._owner, round(self._lease_s * 1000), LIMIT, gap_ms=outage_ms(self._settings)
        )
        settled = self._deal_with(lost)
        rests_s = [self._rest_s(each) for each in lost if each.id not in settled]
        self._leave_at = min([kept_until, *(time.monotonic() + rest_s for rest_s in rests_s)])
        return 0 if len(lost) == LIMIT else None

    def _give_back(self) -> None:
        """Have all that we hold lost anew, for anyone; no job that we take from now on extends its lease."""
        self._store.end_lease(self._owner, None)
        self._owner = _new_owner()

    def _rest_s(self, lost: Lost) -> float:
        return max(self._apart.rest_s(lost.id), self._resting.rest_s(lost.queue))

    def _deal_with(self, lost: Sequence[Lost]) -> set[str]:
        """Return the ids of those that are done with; the others rest."""
        cases = list(self._cases(lost))
        final = [case for case in cases if case.decision.is_final]
        settled = self._settle([case for case in cases if not case.decision.is_final])
        self._write([case for case in final if case.attempt not in self._written])
        return settled | self._settle([case for case in final if case.attempt in self._written])

    def _cases(self, lost: Sequence[Lost]) -> Iterator[LostJob]:
        for each in lost:
            if self._apart.rests(each.id):
                continue
            try:
                yield decide_lost(each, self._rules)
            except Exception as error:  # noqa: BLE001 - Apart logs it
                self._apart.failed(each.id, error)

    def _write(self, cases: Sequence[LostJob]) -> None:
        """Publish dead letters, and note those that were confirmed: their jobs may be settled."""
        letters = self._letters(cases)

        def publish(cases: Sequence[LostJob]) -> Mapping[int, Failure]:
            written, failures = self._writer.confirm([letters[case.attempt] for case in cases])
            letters.update(zip([case.attempt for case in cases], written, strict=True))
            return failures

        ready = [case for case in cases if case.attempt in letters]
        try:
            confirmed = publish_apart(ready, publish, self._publisher, resting=self._resting)
        except Unavailable:
            self._give_back()  # another scheduler may reach RabbitMQ
            raise
        for case in confirmed:
            self._written.append(case.attempt)
            DEAD_LETTERS.labels(case.queue, case.error.reason).inc()
        for case in ready:
            if case.attempt not in self._written and not self._resting.rests(case.queue):
                self._apart.failed(case.lost.id, BrokerUnavailable("its dead letter is not taken"))
        self._writer.index([letters[case.attempt] for case in confirmed])

    def _letters(self, cases: Sequence[LostJob]) -> dict[tuple[str, int], Outgoing]:
        """Return the dead letters of those that one can be made of."""
        # When it failed first is told where its record can be read.
        readable = [case.lost.id for case in cases if case.message is not None]
        jobs = dict(zip(readable, all_or_each(readable, self._store.get), strict=True))
        letters: dict[tuple[str, int], Outgoing] = {}
        for case in cases:
            job = jobs.get(case.lost.id)
            try:
                letters[case.attempt] = lost_jobs.letter(
                    case, job if isinstance(job, Job) else None
                )
            except Exception as error:  # noqa: BLE001 - Apart logs it
                self._apart.failed(case.lost.id, error)
        return letters

    def _settle(self, cases: Sequence[LostJob]) -> set[str]:
        """End these attempts; return the ids of those that the store has an answer for."""
        if not cases:
            return set()

        def settle(cases: Sequence[LostJob]) -> list[bool]:
            return self._store.settle([case.decision.outcome for case in cases])

        settled: set[str] = set()
        for case, is_accepted in zip(cases, all_or_each(cases, settle), strict=True):
            if isinstance(is_accepted, TaskyardError):
                self._apart.failed(case.lost.id, is_accepted)
                continue
            settled.add(case.lost.id)
            self._apart.went_well(case.lost.id)
            if case.attempt in self._written:
                self._written.remove(case.attempt)
            if is_accepted:
                JOBS_RECLAIMED.labels(case.error.reason).inc()
                lost_jobs.log(case)
                traces.reclaimed(case)
        return settled


def announced_waits(catalogue: Catalogue, settings: Settings) -> Callable[[str], Waits]:
    """Return what gives a task's waits before retries: as workers announce them, else as the settings."""

    def waits_of(task: str) -> Waits:
        try:
            announced = catalogue.retry_waits(task)
        except Exception:  # a damaged catalogue must not hold up jobs that were lost
            logger.exception("catalogue cannot be read", extra={"task": task})
            announced = None
        return announced or waits(settings)

    return waits_of


def _new_owner() -> str:
    """Return a name that no lease had before: nobody may take over that of one that died."""
    return f"reclaim:{socket.gethostname()}:{os.getpid()}:{new_id()}"
