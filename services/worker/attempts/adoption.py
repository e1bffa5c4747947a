"""Messages that were published straight to a work queue, and the records that they get."""

from collections.abc import Mapping
from typing import Any

from services.worker.consuming.inbox import Delivery
from taskyard.arguments import binding, signature
from taskyard.client import defaults as task_defaults
from taskyard.config import Settings
from taskyard.errors import InvalidSubmission
from taskyard.job_creation import Defaults
from taskyard.message import Message, complete
from taskyard.request import fire_id_faults
from taskyard.store.jobs import NewJob
from taskyard.task import Task
from taskyard.task_options import TaskOptions


class Adoption:
    """Makes a record for a message that the store does not know; also after the store was emptied.

    Args:
        tasks: The tasks that this worker knows.
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
