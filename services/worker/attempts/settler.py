"""What becomes of an attempt that has ended: its outcome is decided, kept for the store, and counted."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.worker.attempts import measures, traces
from services.worker.attempts.dead_letters import PendingDeadLetters
from services.worker.attempts.end_log import EndLog, place_of
from services.worker.attempts.outcome import Decider, ResultNotJson
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery
from taskyard.config import Settings
from taskyard.dead_letters.message import dead_letter
from taskyard.errors import JobLost, WorkerStopping
from taskyard.job import JobError
from taskyard.policy.decide import Decision
from taskyard.store.attempts import Outcome, Settled
from taskyard.task import Task

logger = logging.getLogger(__name__)

#: Outcomes for the store, each with the attempt that it ends.
Entries = list[tuple[Outcome, RunningAttempt]]


class Settler:
    """Decides how attempts end, and keeps the outcomes until the store has them.

    Args:
        registry: Has the attempts.
        dead_letters: What writes dead letters.
        tasks: The tasks that this worker has, by name.
        settings: Limits and defaults.
        owner: Name of this worker in dead letters.
        wake: Called when an outcome is there to be settled, without a slot that has become free.
    """

    def __init__(
        self,
        *,
        registry: AttemptRegistry,
        dead_letters: PendingDeadLetters,
        tasks: Mapping[str, Task[..., Any]],
        settings: Settings,
        owner: str,
        wake: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._dead_letters = dead_letters
        self._tasks = tasks
        self._owner = owner
        self._wake = wake
        self._decider = Decider(settings)
        self.log = EndLog(settings.log_jobs)
        self._outcomes: deque[tuple[Outcome, RunningAttempt]] = deque()
        self.jobs_done = 0
        #: Jobs settled and the seconds that they ran, by queue.
        self.served: dict[str, tuple[int, float]] = {}
        #: How long a job takes, as the recent ones did. Seconds.
        self.service_s = 1.0

    def decide(self, attempt: RunningAttempt, error: BaseException | None) -> bool:
        """Decide the outcome of an attempt; False if that has been done before."""
        if not attempt.end():
            return False
        self._conclude(attempt, error)
        return True

    def abandon(self, attempt: RunningAttempt, error: BaseException) -> bool:
        """Decide the outcome of an attempt that does not end; False if it has ended by itself."""
        is_first = self.decide(attempt, error)
        self._wake()
        return is_first

    def hand_back_waiting(self, attempt: RunningAttempt) -> None:
        """Return a claimed attempt to its queue, if no slot has taken it yet."""
        if attempt.end_unstarted():
            self._conclude(attempt, WorkerStopping("no slot became free"))
            self._wake()

    def take(self, limit: int | None = None) -> Entries:
        """Remove and return the outcomes that are to be settled: all, or the first ones."""
        count = len(self._outcomes)
        return [
            self._outcomes.popleft() for _ in range(count if limit is None else min(count, limit))
        ]

    def put_back(self, entries: Entries) -> None:
        """Keep outcomes that could not be settled, before all later ones."""
        self._outcomes.extendleft(reversed(entries))

    def fail(self, entry: tuple[Outcome, RunningAttempt], error: Exception) -> None:
        """Have an attempt fail whose outcome has no form in the store: its result or progress is at fault."""
        outcome, attempt = entry
        attempt.last_progress = None
        text = f"the outcome cannot be told: {error}"
        is_result = outcome.kind == "completed"
        self._conclude(attempt, ResultNotJson(text) if is_result else RuntimeError(text))
        self._wake()

    def settle(
        self, entries: Entries, answers: Sequence[Settled]
    ) -> tuple[list[Delivery], list[Delivery]]:
        """Remove attempts whose outcomes the store has taken or refused: they are under way no more.

        Returns the deliveries to acknowledge, and those to return to their queues. Only where another attempt
        has taken over is the message of a refused one done with. What the store has forgotten has nothing but
        its message left, which goes back and runs again.
        """
        self._registry.remove([attempt for _, attempt in entries])
        done: list[Delivery] = []
        returned: list[Delivery] = []
        for (outcome, attempt), answer in zip(entries, answers, strict=True):
            is_known = answer in ("accepted", "stale")
            if outcome.kind == "released" or not is_known:
                returned.append(attempt.delivery)
            else:
                done.append(attempt.delivery)
            if not is_known:
                facts = {"job_id": attempt.id, "task": attempt.task, "outcome": outcome.kind}
                logger.warning("the store has forgotten an attempt: it runs again", extra=facts)
        return done, returned

    def count(self, entries: Entries, answers: Sequence[Settled]) -> None:
        """Count and log attempts that are settled."""
        self.jobs_done += len(entries)
        self._measure([attempt for _, attempt in entries if attempt.started is not None])
        accepted = [answer == "accepted" for answer in answers]
        measures.settled(entries, accepted)
        traces.settled(entries, accepted)
        self.log.settled(entries, accepted)

    def _measure(self, ran: Sequence[RunningAttempt]) -> None:
        """Take note of how long jobs take."""
        if not ran:
            return
        for attempt in ran:
            count, seconds = self.served.get(attempt.queue_name, (0, 0.0))
            self.served[attempt.queue_name] = count + 1, seconds + attempt.ran_s
        mean_s = sum(attempt.ran_s for attempt in ran) / len(ran)
        self.service_s = max(1e-6, 0.8 * self.service_s + 0.2 * mean_s)

    def _conclude(self, attempt: RunningAttempt, error: BaseException | None) -> None:
        if error is not None and attempt.is_lost:
            error = JobLost("its job is another's")  # whose dead letter this one must not write
        decision = self._decide(attempt, error)
        if error is not None:
            attempt.failed_at = place_of(error)
        if decision.error is not None and decision.is_final:
            self._write_dead_letter(attempt, decision.outcome, decision.error)
        else:
            self._outcomes.append((decision.outcome, attempt))

    def _decide(self, attempt: RunningAttempt, error: BaseException | None) -> Decision:
        task = self._tasks.get(attempt.task)
        try:
            return self._decider.decide(attempt, error, task)
        except Exception:
            # Whatever odd thing a task has returned or raised must not cost the slot its thread.
            logger.exception(
                "outcome cannot be told", extra={"job_id": attempt.id, "task": attempt.task}
            )
            attempt.last_progress = None
            broken = RuntimeError("the outcome cannot be told")
            return self._decider.decide(attempt, broken, task)

    def _write_dead_letter(
        self, attempt: RunningAttempt, outcome: Outcome, error: JobError
    ) -> None:
        delivery = attempt.delivery
        letter = dead_letter(
            delivery.queue,
            delivery.body,
            id=attempt.id,
            task=attempt.task,
            error=error,
            attempts=attempt.number if delivery.is_readable else 0,
            first_failed_at_ms=attempt.first_failed_at_ms,
            worker=self._owner,
            priority=attempt.message.priority_or(delivery.priority),
        )

        def settle() -> None:
            self._outcomes.append((outcome, attempt))
            self._wake()

        self._dead_letters.write(letter, error.reason, delivery, settle)
