"""Dispatching: record first, publish second, so that what was promised is never lost."""

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from taskyard.errors import NotUnique, TaskyardError, Unavailable
from taskyard.job import State
from taskyard.message import decode, for_attempt
from taskyard.outbox import OutboxCleaner
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Headers, Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.runtime.apart import all_or_each
from taskyard.runtime.group_commit import GroupCommit
from taskyard.store import JobStore
from taskyard.store.jobs import Created, NewJob, Ready, Recorded

logger = logging.getLogger(__name__)

ATTEMPT_HEADER = "taskyard-attempt"
TRACE_HEADER = "traceparent"


class _Sent(NamedTuple):
    """A message that has to be confirmed before an answer is given, and since when its job waits for that."""

    job_id: str
    message: Outgoing
    recorded_at_ms: int


class Dispatcher:
    """Hands jobs over: the one way from a request to a recorded, published job.

    Args:
        store: Where jobs are recorded.
        publisher: What publishes the messages of those that are ready.
        publish_deadline_s: Longest wait for RabbitMQ's confirm, in seconds.
    """

    def __init__(
        self, store: JobStore, publisher: Publisher, *, publish_deadline_s: float = 5.0
    ) -> None:
        self.store = store
        self.publisher = publisher
        self._deadline_s = publish_deadline_s
        self._record: GroupCommit[NewJob, Recorded] = GroupCommit(store.create)
        self._outbox = OutboxCleaner(store)

    def dispatch(self, jobs: Sequence[NewJob]) -> list[Created]:
        """Record jobs and publish those that are ready, all or none; idempotent by id.

        One that was there, and that nobody is known to have had confirmed, is published too: what an earlier
        call has recorded, whose answer was lost, is promised no earlier than any other.

        After an error of RabbitMQ none of the new jobs runs, though it may have taken messages of them. But
        one that has begun, that has replaced another, or that another caller asked for too stays: the error's
        `taken` names it. After one of the store they may run: it could not be reached, to record or to forget
        them.

        Raises:
            StoreUnavailable: If the store did not answer in time.
            BrokerUnavailable: If RabbitMQ did not answer in time, or a queue takes no messages.
            QueueMismatch: If a queue exists with other arguments.
            StoreFault: If a record is damaged that is in the way of one.
            InTheWay: If a job out of its reach is in the way of one.
        """
        recorded = self._record(jobs)
        created = [each for each in recorded if isinstance(each, Created)]
        fault = next((each for each in recorded if not isinstance(each, Created)), None)
        if fault is not None:
            new = [each.id for each in created if each.is_new]
            fault.taken = self.store.withdraw(new) if new else ()
            raise fault
        sent = self._to_send(jobs, created)
        failures = self._send(sent, is_whole=True)
        if failures:
            self._take_back(created, sent, failures)
        self._conclude(created, sent, failures)
        return created

    def dispatch_each(self, jobs: Sequence[NewJob]) -> list[Created | TaskyardError]:
        """Record jobs and publish those that are ready, each by itself; return what became of each.

        Of one with an error nothing is kept, as `dispatch` has it.

        Raises:
            Unavailable: If the store did not answer in time, or RabbitMQ as a whole takes no messages.
        """
        recorded = all_or_each(jobs, self._record)
        sent = self._to_send(jobs, recorded)
        failures = self._send(sent, is_whole=False)
        refused: dict[str, TaskyardError] = {}
        if failures:
            failed = {sent[place].job_id: failure for place, failure in failures.items()}
            out = [job_id for job_id, failure in failed.items() if failure.may_arrive]
            safe = self._safe(self.store.withdraw(list(failed), published=out))
            refused = {job_id: each.error for job_id, each in failed.items() if job_id not in safe}
        outcomes = [
            refused.get(each.id, each) if isinstance(each, Created) else each for each in recorded
        ]
        self._conclude([each for each in outcomes if isinstance(each, Created)], sent, failures)
        away = (each for each in refused.values() if isinstance(each, Unavailable))
        if refused and not self.publisher.is_ready and (error := next(away, None)) is not None:
            raise error
        return outcomes

    def _to_send(
        self, jobs: Sequence[NewJob], recorded: Sequence[Created | TaskyardError]
    ) -> list[_Sent]:
        """Return the messages of new jobs that are ready, and of those that were there without a confirm."""
        sent = [
            _Sent(job.id, first_message(job), outcome.recorded_at_ms)
            for job, outcome in zip(jobs, recorded, strict=True)
            if isinstance(outcome, Created) and outcome.is_new and outcome.state is State.PENDING
        ]
        new = {each.job_id for each in sent}
        found = {
            each.id for each in recorded if isinstance(each, Created) and each.is_unconfirmed
        } - new
        ready = self._unconfirmed(sorted(found))
        return sent + [_Sent(each.id, later_message(each), each.now_ms) for each in ready]

    def _send(self, sent: Sequence[_Sent], *, is_whole: bool) -> dict[int, Failure]:
        messages = [each.message for each in sent]
        return self.publisher.publish_each(messages, deadline_s=self._deadline_s, is_whole=is_whole)

    def _unconfirmed(self, ids: Sequence[str]) -> list[Ready]:
        ready = self.store.unconfirmed(ids) if ids else []
        return [job for job in ready if not self._outbox.has_confirmed(job.id, job.due_at_ms)]

    def _safe(self, kept: Sequence[str]) -> set[str]:
        """Return those of these jobs whose messages RabbitMQ has, or had: they may be promised."""
        return set(kept) - {each.id for each in self._unconfirmed(kept)}

    def _take_back(
        self, created: Sequence[Created], sent: Sequence[_Sent], failures: Mapping[int, Failure]
    ) -> None:
        """Withdraw all jobs and raise the first error, unless all of them turn out to be safe."""
        ids = [each.job_id for each in sent]
        out = [
            job_id
            for place, job_id in enumerate(ids)
            if place not in failures or failures[place].may_arrive
        ]
        taken = self.store.withdraw(ids, published=out)
        failed = [ids[place] for place in failures]
        if len(taken) == len(ids) and len(self._safe(failed)) == len(failed):
            return
        waiting = {each.id for each in created if each.is_new} - set(ids)
        taken += self.store.withdraw(sorted(waiting)) if waiting else []
        error = copy.copy(next(iter(failures.values())).error)  # other callers may have the same
        error.taken = taken
        raise error

    def _conclude(
        self,
        made: Sequence[Created],
        sent: Sequence[_Sent],
        failures: Mapping[int, Failure],
    ) -> None:
        """Have the jobs take the places of others, and those that are confirmed leave the outbox."""
        open_ids: set[str] = set()
        replacing = [each.id for each in made if each.replaces]
        if replacing:
            try:
                self.store.replace(replacing)
            except Unavailable as error:
                logger.warning("jobs not replaced yet, relay will do it: %s", error)
                open_ids.update(replacing)
        self._outbox.add(
            [
                (each.job_id, each.recorded_at_ms)
                for place, each in enumerate(sent)
                if place not in failures and each.job_id not in open_ids
            ]
        )

    def submit(self, job: NewJob) -> Created:
        """Dispatch one job; the answer has the id of another, where one like it lives.

        Raises:
            NotUnique: If one like it lives, and the task's policy is to reject.
            Unavailable: If the store or RabbitMQ did not answer in time.
            QueueMismatch: If the job's queue exists with other arguments.
            InTheWay: If a job out of its reach has its id or its lock.
        """
        (created,) = self.dispatch([job])
        if created.is_rejected:
            raise NotUnique(job.task, created.id)
        return created

    def publish(self, ready: Sequence[Ready]) -> None:
        """Publish jobs that are pending already, and take those that are confirmed out of the outbox.

        Raises:
            Unavailable: If RabbitMQ or the store did not answer in time; `relay` tries again later.
            QueueMismatch: If a queue exists with other arguments.
        """
        for failure in self.publish_each(ready).values():
            raise failure.error

    def publish_each(self, ready: Sequence[Ready]) -> dict[int, Failure]:
        """Do the same with each job by itself; return by place what was not confirmed.

        Raises:
            StoreUnavailable: If the store did not answer in time.
        """
        failures = self.publisher.publish_each(
            [later_message(job) for job in ready], deadline_s=self._deadline_s, is_whole=False
        )
        confirmed = [job for place, job in enumerate(ready) if place not in failures]
        replacing = [job.id for job in confirmed if job.replaces]
        if replacing:
            self.store.replace(replacing)
        self.store.mark_published([(job.id, job.now_ms) for job in confirmed])
        return failures

    def close(self) -> None:
        """Finish what is under way and close both connections; safe to call twice."""
        self._outbox.close()
        self.publisher.close()
        self.store.close()


def first_message(job: NewJob) -> Outgoing:
    """Return the message of a job's first attempt."""
    return Outgoing(
        queue=job.queue,
        body=job.body.encode(),
        id=job.id,
        task=job.task,
        priority=job.priority,
        headers=None if job.traceparent is None else {TRACE_HEADER: job.traceparent},
    )


def later_message(job: Ready) -> Outgoing:
    """Return the message of a pending job's next attempt.

    A record that cannot be read is published as it is: the worker fails the job, while here it would hold up
    all others.
    """
    try:
        message = decode(job.body)
        body = for_attempt(job.body, job.attempt)
    except ValueError:
        logger.exception("unreadable record", extra={"job_id": job.id})
        body_bytes = job.body.encode(errors="surrogateescape")
        headers = _headers(job.attempt, None)
        return Outgoing(queue=job.queue, body=body_bytes, id=job.id, headers=headers)
    return Outgoing(
        queue=job.queue,
        body=body.encode(),
        id=job.id,
        task=message.task,
        priority=message.priority if job.raised_to < 0 else job.raised_to,
        headers=_headers(job.attempt, message.traceparent),
    )


def _headers(attempt: int, traceparent: str | None) -> Headers | None:
    headers: Headers = {} if traceparent is None else {TRACE_HEADER: traceparent}
    if attempt > 1:
        headers[ATTEMPT_HEADER] = attempt
    return headers or None
