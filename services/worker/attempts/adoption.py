"""Messages that were published straight to a work queue, and the records that they get."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.worker.attempts.admission import Admission
from services.worker.attempts.refusal import InvalidMessage
from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery
from taskyard.arguments import binding, signature
from taskyard.client import defaults as task_defaults
from taskyard.config import Settings
from taskyard.errors import InvalidSubmission, StoreFault, loggable_text
from taskyard.job_creation import Defaults
from taskyard.message import Message, complete
from taskyard.request import fire_id_faults
from taskyard.store import JobStore
from taskyard.store.attempts import Claim, Outcome, Settled, Verdict
from taskyard.store.jobs import NewJob
from taskyard.task import Task
from taskyard.task_options import TaskOptions

logger = logging.getLogger(__name__)


class Adoption:
    """Makes a record for a message that the store does not know; also after the store was emptied.

    Args:
        tasks: The tasks that this worker has.
        settings: What a job gets where neither it nor its task say.
    """

    def __init__(self, tasks: Mapping[str, Task[..., Any]], settings: Settings) -> None:
        self._defaults = {name: task_defaults(t.options, settings) for name, t in tasks.items()}
        self._other = task_defaults(TaskOptions(), settings)
        self._signatures = {name: signature.describe(t.function) for name, t in tasks.items()}

    def defaults(self, task: str) -> Defaults:
        """Return what jobs of `task` get where they do not say."""
        return self._defaults.get(task, self._other)

    def check(self, message: Message) -> None:
        """Check id and arguments; those of a task that is not known here may be any.

        Raises:
            InvalidSubmission: If they do not fit the task, or the id is for a schedule to give.
        """
        # From Python come times without a zone, too: the task's own conversion says what is wrong there.
        is_ours = message.options.origin == "python"
        described = None if is_ours else self._signatures.get(message.task)
        faults = binding.faults(described, message.args, message.kwargs) if described else []
        if message.options.origin != "schedule":  # whose record is lost
            faults = [*faults, *fire_id_faults(message.message_id, "/message_id")]
        if faults:
            raise InvalidSubmission(faults)

    def job(self, delivery: Delivery, message: Message) -> NewJob:
        """Return the job in `message`, ready for the attempt that it carries."""
        defaults = self.defaults(message.task)
        # That of the delivery may be what the job has risen to by waiting, before its record was lost.
        priority = message.priority_or(delivery.priority)
        body = complete(
            delivery.body,
            {
                "priority": priority,
                "max_retries": defaults.max_retries,
                "timeout_s": message.timeout_s or defaults.timeout_s,
                "expires_s": message.expires_s or defaults.expires_s,
                "traceparent": message.traceparent,
            },
        )
        return NewJob(
            id=message.message_id,
            task=message.task,
            queue=delivery.queue,
            priority=priority,
            body=body,
            attempts_made=message.options.attempt - 1,
            created_at_ms=message.message_timestamp,
        )


class Adopter:
    """Records jobs that the store does not know, and asks it once more for what it then answers.

    Args:
        store: Where jobs are recorded.
        adoption: Makes the records.
        admission: Refuses messages that become no job.
        owner: Id of the lease that holds the attempts.
    """

    def __init__(
        self, store: JobStore, adoption: Adoption, admission: Admission, owner: str
    ) -> None:
        self._store = store
        self._adoption = adoption
        self._admission = admission
        self._owner = owner

    def adopt_unknown(
        self,
        entries: Sequence[tuple[Delivery, Message]],
        claims: Sequence[Claim],
        verdicts: list[Verdict],
        *,
        call: int,
    ) -> None:
        """Record jobs that the store does not know, and put what it says then into `verdicts`.

        Args:
            entries: All deliveries of a claim, with their messages.
            claims: The claim of each.
            verdicts: What the store has said of each.
            call: The number of the claim.
        """
        unknown = [i for i, verdict in enumerate(verdicts) if verdict.kind == "unknown"]
        for delivery in [entries[index][0] for index in unknown]:
            if delivery.refusal is not None:
                # It is of no job that is known: its letter is all that there is to write.
                self._admission.write_letter(delivery, delivery.refusal.error)
        unknown = [index for index in unknown if entries[index][0].refusal is None]
        if not unknown:
            return
        made = {index: self._made(*entries[index]) for index in unknown}
        jobs = {index: job for index, job in made.items() if isinstance(job, NewJob)}
        if jobs:
            created = self._store.create(list(jobs.values()))
            again = self._store.claim(
                self._owner, self._owner, [claims[i] for i in jobs], call=call
            )
            for index, answer, verdict in zip(jobs, created, again, strict=True):
                is_fault = isinstance(answer, StoreFault)
                verdicts[index] = Verdict("fault") if is_fault else verdict
        for index, job in made.items():
            if isinstance(job, InvalidMessage):
                self._admission.write_letter(entries[index][0], job)

    def _made(self, delivery: Delivery, message: Message) -> NewJob | InvalidMessage:
        """Return the job that a message becomes, or what is wrong with the message."""
        try:
            self._adoption.check(message)
            return self._adoption.job(delivery, message)
        except InvalidSubmission as error:
            self._admission.log_refused(delivery, "invalid", loggable_text(error))
            return InvalidMessage("invalid", str(error))
        except (UnicodeDecodeError, msgspec.DecodeError):
            # Fields that are not known are read here for the first time.
            why = "what is in a field that is not known is not JSON"
            self._admission.log_refused(delivery, "undecodable", why)
            return InvalidMessage("undecodable", why)
        except Exception as error:
            logger.exception("message becomes no job", extra={"queue": delivery.queue})
            return InvalidMessage("invalid", f"it becomes no job: {type(error).__name__}")

    def adopt_ended(
        self, entries: Sequence[tuple[Outcome, RunningAttempt]], settled: list[Settled]
    ) -> None:
        """Record ended jobs that the store does not know, and put what it says then into `settled`.

        It was emptied while they ran: their messages have all that a record needs, and no outcome is lost.
        """
        ended = [
            index
            for index, answer in enumerate(settled)
            if answer == "missing"
            and entries[index][0].kind != "released"
            and entries[index][1].delivery.refusal is None
        ]
        if not ended:
            return
        attempts = [entries[index][1] for index in ended]
        made = self._store.create(
            [self._adoption.job(each.delivery, each.message) for each in attempts]
        )
        outcomes = [entries[index][0] for index in ended]
        again, _ = self._store.exchange(outcomes, self._owner, self._owner, ())
        for index, created, answer in zip(ended, made, again, strict=True):
            settled[index] = "fault" if isinstance(created, StoreFault) else answer
