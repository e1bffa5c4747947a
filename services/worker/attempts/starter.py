"""What follows from the store's verdicts: attempts for the slots, and messages that are done with unrun."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.worker.attempts import measures
from services.worker.attempts.admission import Candidates
from services.worker.attempts.outcome import UnknownTask
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Settler
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from services.worker.dramatiq_bridge.slots import Slots
from taskyard.errors import TaskyardError
from taskyard.job_creation import Defaults
from taskyard.message import Message
from taskyard.store.attempts import Verdict
from taskyard.task import Task

logger = logging.getLogger(__name__)

#: For so many tasks that are not known here it is logged that their jobs are parked.
LOGGED_TASKS = 100


class Starter:
    """Starts what was granted, acknowledges what was not.

    Args:
        consumer: Where messages are acknowledged, or handed back.
        defaults: Gives what jobs of a task get where they do not say.
        registry: Gets the attempts that begin.
        settler: Decides about attempts that can never run here.
        slots: What runs them.
        tasks: The tasks that this worker has, by name.
        unknown_task_ttl_s: How long jobs have waited that are granted though their task is not here.
    """

    def __init__(
        self,
        *,
        consumer: Source,
        defaults: Callable[[str], Defaults],
        registry: AttemptRegistry,
        settler: Settler,
        slots: Slots,
        tasks: Mapping[str, Task[..., Any]],
        unknown_task_ttl_s: int,
    ) -> None:
        self._consumer = consumer
        self._defaults = defaults
        self._registry = registry
        self._settler = settler
        self._slots = slots
        self._tasks = tasks
        self._unknown_task_ttl_s = unknown_task_ttl_s
        #: Tasks for which that has been logged.
        self._logged: set[str] = set()

    def start(self, candidates: Candidates, verdicts: Sequence[Verdict]) -> int:
        """Do as the verdicts say; return how many attempts a slot is to run."""
        started: list[RunningAttempt] = []
        skipped: list[Delivery] = []
        paused: list[Delivery] = []
        for (delivery, message), verdict in zip(candidates.values(), verdicts, strict=True):
            if verdict.kind == "run":
                started.append(self._attempt(delivery, message, verdict))
            elif verdict.kind == "paused":
                paused.append(delivery)
            elif verdict.kind not in ("unknown", "gone"):
                self._note_skipped(delivery, message, verdict)
                skipped.append(delivery)
        obstacles = [self._obstacle(attempt) for attempt in started]
        ready = [each for each, error in zip(started, obstacles, strict=True) if error is None]
        self._slots.run(ready)
        self._consumer.ack(skipped)
        if paused:
            # At once: else RabbitMQ would send them again and again until the next heartbeat.
            self._consumer.pause({delivery.queue for delivery in paused})
            self._consumer.hand_back(paused)
        measures.claimed(started, claims=len(verdicts))
        for attempt, error in zip(started, obstacles, strict=True):
            if error is not None:
                self._settler.abandon(attempt, error)
        return len(ready)

    def _note_skipped(self, delivery: Delivery, message: Message, verdict: Verdict) -> None:
        """Count a message that starts nothing; say once for each task that it is not known here."""
        measures.MESSAGES_SKIPPED.labels(delivery.queue, verdict.kind).inc()
        task = message.task
        if verdict.kind != "parked" or task in self._logged or len(self._logged) >= LOGGED_TASKS:
            return
        self._logged.add(task)
        facts = {"task": task, "queue": delivery.queue, "job_id": message.message_id}
        text = "job is parked, the task is not known here: restart the worker after adding a task"
        logger.warning(text, extra=facts)

    def _obstacle(self, attempt: RunningAttempt) -> TaskyardError | None:
        """Return what keeps an attempt that was granted from ever running here."""
        if attempt.delivery.refusal is not None:
            return attempt.delivery.refusal.error
        if attempt.task not in self._tasks:
            waited_s = self._unknown_task_ttl_s
            text = (
                f"no worker knew the task for {waited_s} s: restart the worker after adding a task"
            )
            return UnknownTask(text)
        return None

    def _attempt(self, delivery: Delivery, message: Message, verdict: Verdict) -> RunningAttempt:
        defaults = self._defaults(message.task)
        retries = message.options.max_retries
        attempt = RunningAttempt(
            message,
            delivery,
            token=verdict.token,
            crashes=verdict.crashes,
            first_failed_at_ms=verdict.first_failed_at_ms or None,
            timeout_s=message.timeout_s or defaults.timeout_s,
            max_retries=defaults.max_retries if retries is None else retries,
        )
        attempt.waited_ms = max(0, verdict.started_at_ms - verdict.ready_at_ms)
        self._registry.add(attempt)
        return attempt
