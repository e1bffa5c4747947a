"""The life of an attempt, step by step, a batch at a time.

1. take: deliveries for the slots that are free leave the inbox, and outcomes leave their queue.
2. claim: each delivery that can be read asks the store for an attempt. So does one that cannot, if it is of a
   job: its attempt fails with the reason. Jobs that the store does not know are recorded and claimed again.
3. run: what is granted goes to the slots; the rest is acknowledged, or goes back to its queue.
4. decide: a task has ended, and its job is completed, retrying, failed, cancelled or released. The dead
   letter of a failed one is confirmed before step 5.
5. settle: the store learns the outcomes, in the call that claims the next attempts.
6. acknowledge: RabbitMQ may forget the messages of what is settled.

The engine's thread does a round of all steps but `decide`, which is the slot's.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from services.worker.attempts.admission import Admission, Candidates
from services.worker.attempts.adoption import Adopter, Adoption
from services.worker.attempts.dead_letters import PendingDeadLetters
from services.worker.attempts.isolation import Answers, Isolation
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Entries, Settler
from services.worker.attempts.starter import Starter
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from services.worker.dramatiq_bridge.slots import Slots
from taskyard.config import Settings
from taskyard.errors import Unavailable
from taskyard.store import JobStore
from taskyard.task import Task

logger = logging.getLogger(__name__)

#: Work that is claimed ahead of a free slot, in seconds, and its bound: a slot is free for it by the time
#: that the store has answered, and the round trips of tiny jobs become a third as many.
CLAIM_AHEAD_S = 0.001
CLAIM_AHEAD_PER_SLOT = 3


class Executor:
    """Takes attempts through their steps, between the consumer, the store and the slots.

    Args:
        store: Where jobs are claimed and settled.
        consumer: Where deliveries come from and are acknowledged.
        dead_letters: What writes dead letters.
        tasks: The tasks that this worker has, by name.
        settings: Limits and defaults.
        owner: Id of the lease that holds the attempts.
        slots: What runs them.
        registry: Has what is under way.
        settler: Decides outcomes, and has those that are not settled.
        wake: Called when a slot has become free.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        consumer: Source,
        dead_letters: PendingDeadLetters,
        tasks: Mapping[str, Task[..., Any]],
        settings: Settings,
        owner: str,
        slots: Slots,
        registry: AttemptRegistry,
        settler: Settler,
        wake: Callable[[], None],
    ) -> None:
        adoption = Adoption(tasks, settings)
        self._store = store
        self._consumer = consumer
        self._owner = owner
        self._slot_count = settings.worker_threads
        self._registry = registry
        self._settler = settler
        self._wake = wake
        self._admission = Admission(store, consumer, dead_letters, tasks, settings, owner)
        self._adopter = Adopter(store, adoption, self._admission, owner)
        self._starter = Starter(
            consumer=consumer,
            defaults=adoption.defaults,
            registry=registry,
            settler=settler,
            slots=slots,
            tasks=tasks,
            unknown_task_ttl_s=settings.unknown_task_ttl,
        )
        #: Has what the store fails at.
        self.isolation = Isolation(
            consumer=consumer, registry=registry, settler=settler, admission=self._admission
        )
        #: Number of the latest claim call, and of the latest that is over: what it granted runs, or will
        #: never be. Heartbeats tell it, and the store takes back what was granted in vain.
        self._call = 0
        self.over = 0

    def run_once(self) -> bool:
        """Do one round: settle what has ended and claim for the slots that are free.

        Returns whether there was anything to do.

        Raises:
            StoreUnavailable: If the store does not answer; nothing is lost, and it may be called again.
        """
        ended, deliveries = self._take()
        started = 0
        self._call += bool(deliveries)
        try:
            candidates = self._admission.admit(deliveries, self._registry)
            if ended or candidates:
                answers = self._claim_and_settle(ended, candidates)
                if answers is not None:
                    started = self._run(answers)
                    self._acknowledge(answers)
        finally:
            self.over = self._call
            self._registry.end_claim(len(deliveries) - started)
        return bool(ended or deliveries)

    def _take(self) -> tuple[Entries, list[Delivery]]:
        """Take all outcomes, and deliveries for the free slots; one item alone if a batch has failed."""
        if self.isolation.is_due:
            return self.isolation.take_one(self._capacity())
        ended = self._settler.take()
        return ended, self._registry.reserve(self._capacity(), self._consumer.inbox.take)

    def _claim_and_settle(self, ended: Entries, candidates: Candidates) -> Answers | None:
        """Tell the store what has ended and claim what may begin, in one call; None if it failed at that.

        What the store fails at, alone or in the whole batch, is left to `isolation`.
        """
        try:
            claims = self._admission.claims(candidates)
            outcomes = [outcome for outcome, _ in ended]
            settled, verdicts = self._store.exchange(
                outcomes, self._owner, self._owner, claims, call=self._call
            )
            entries = list(candidates.values())
            self._adopter.adopt_unknown(entries, claims, verdicts, call=self._call)
            self._adopter.adopt_ended(ended, settled)
        except Unavailable:
            self.isolation.put_back(ended, candidates)
            raise
        except Exception as error:  # noqa: BLE001 - logged, here or where it is put aside
            self.isolation.failed(ended, candidates, error)
            return None
        return self.isolation.without_faults(Answers(ended, settled, candidates, verdicts))

    def _run(self, answers: Answers) -> int:
        """Hand attempts that were granted to the slots; return how many."""
        if not answers.verdicts:
            return 0
        return self._starter.start(answers.candidates, answers.verdicts)

    def decide(self, attempt: RunningAttempt) -> None:
        """Decide the outcome of an attempt whose task has ended; called by its slot."""
        try:
            self._settler.decide(attempt, attempt.error)
        except Exception:
            # Raised in a slot, it would end its thread for good.
            logger.exception("attempt does not end", extra={"job_id": attempt.id})
        finally:
            self._registry.free(1)
            self._wake()

    def _acknowledge(self, answers: Answers) -> None:
        """Let go of attempts that are settled, and of their messages."""
        if not answers.ended:
            return
        done, returned = self._settler.settle(answers.ended, answers.settled)
        self._consumer.ack(done)
        self._consumer.hand_back(returned)
        self._settler.count(answers.ended, answers.settled)

    def _capacity(self) -> int:
        """Return how many attempts may be claimed: one a slot, and of tiny jobs a millisecond's more."""
        slots = self._slot_count
        return slots + min(
            slots * CLAIM_AHEAD_PER_SLOT, int(slots * CLAIM_AHEAD_S / self._settler.service_s)
        )
