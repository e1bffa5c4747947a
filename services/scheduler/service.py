"""How the scheduler's parts are put together, started and stopped."""

import logging
import random
import time
from functools import partial
from typing import get_args

from services.scheduler import schedule_file
from services.scheduler.chores.age import Age
from services.scheduler.chores.dead_letters import KeepDeadLetters
from services.scheduler.chores.dispatch_due import DispatchDue
from services.scheduler.chores.fire import Fire
from services.scheduler.chores.leases import WatchLeases
from services.scheduler.chores.lost_jobs import Reason
from services.scheduler.chores.measure import Measure
from services.scheduler.chores.outcomes import SendDirectOutcomes, SendOutcomes
from services.scheduler.chores.prune import Prune
from services.scheduler.chores.reclaim import Reclaim
from services.scheduler.chores.relay import Relay
from services.scheduler.chores.repair import Repair
from services.scheduler.chores.replay import RunReplays
from services.scheduler.intake.chore import Intake
from services.scheduler.intake.consumer import IntakeConsumer
from services.scheduler.intake.submissions import MAX_BATCH_PAYLOADS
from taskyard.config import Settings
from taskyard.consistency.messages import settle_s
from taskyard.dispatcher import Dispatcher
from taskyard.errors import TaskyardError
from taskyard.rabbitmq.direct_replies import DirectReplies
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.size_limit import SizeTrial, largest
from taskyard.runtime import per_queue
from taskyard.runtime.lifecycle import Loop
from taskyard.schedules.plan import FireOutcome
from taskyard.store import open_store
from taskyard.store.consistency import Problem
from taskyard.telemetry.metrics import (
    INTAKE_MESSAGES,
    JOBS_RECLAIMED,
    JOBS_REPAIRED,
    REPLIES,
    SCHEDULE_FIRES,
    begin,
)

logger = logging.getLogger(__name__)

#: Pauses between passes, in seconds.
FIRE_S = 0.5
LEASES_S = 0.5
RECLAIM_S = 0.5
PRUNE_S = 5.0
MEASURE_S = 5.0
REPAIR_S = 5.0
REPLAY_S = 0.5
DEAD_LETTERS_S = 1.0
INTAKE_S = 0.5
OUTCOMES_S = 1.0
AGE_S = 0.5
SIZE_S = 30.0
#: A loop that ends no pass for so long is stuck. Seconds.
STUCK_S = 60.0
#: How long passes under way may take when the scheduler stops. Seconds.
STOP_S = 3.0


class Scheduler:
    """All chores on one dispatcher, each in a loop of its own.

    Args:
        settings: Where the servers are, and how often to do what.

    Raises:
        ConfigurationError: If the file of declared schedules cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        schedules = schedule_file.read(settings)
        self.store = open_store(settings)
        self._publisher = Publisher(
            settings.broker_url,
            queue_type=settings.queue_type,
            name="scheduler",
            tls=settings.tls,
        )
        self._dispatcher = Dispatcher(
            self.store, self._publisher, publish_deadline_s=settings.publish_deadline_s
        )
        self._depths = QueueDepths(settings.broker_url, name="scheduler measure", tls=settings.tls)
        self._direct = DirectReplies(settings.broker_url, tls=settings.tls)
        self._intake = IntakeConsumer(
            settings.broker_url,
            self._direct,
            queue_type=settings.queue_type,
            whole_max_bytes=max(
                settings.dead_letter_max_bytes, MAX_BATCH_PAYLOADS * settings.payload_max_bytes
            ),
            tls=settings.tls,
        )
        self._size_trial = SizeTrial(settings.broker_url, largest(settings), tls=settings.tls)
        self._fire = Fire(self._dispatcher, settings, schedules)
        self._loops = [
            *self._job_loops(settings),
            *self._amqp_loops(settings),
            *self._upkeep_loops(settings),
        ]

    def _job_loops(self, settings: Settings) -> list[Loop]:
        """Return the loops that bring jobs to their queues."""
        steps_s = per_queue.parse(settings.priority_aging_s)
        relay = Relay(self._dispatcher, older_than_s=settings.relay_after_s)
        loops = [
            Loop(
                "dispatch_due",
                DispatchDue(self._dispatcher).run_once,
                interval_s=settings.dispatch_interval_s,
                await_work=partial(self.store.await_work, "due_jobs"),
            ),
            Loop("fire", self._fire.run_once, interval_s=FIRE_S),
            Loop("relay", relay.run_once, interval_s=max(0.2, settings.relay_after_s / 5)),
            Loop("replay", RunReplays(self._dispatcher).run_once, interval_s=REPLAY_S),
        ]
        if not steps_s.is_nothing:
            age = Age(self._dispatcher, steps_s)
            loops.append(Loop("age", age.run_once, interval_s=AGE_S))
        return loops

    def _amqp_loops(self, settings: Settings) -> list[Loop]:
        """Return the loops that take submissions over AMQP, and send the outcomes of jobs."""
        direct_outcomes = SendDirectOutcomes(self._dispatcher, self._direct, settings)
        return [
            Loop(
                "intake",
                Intake(self._dispatcher, self._intake, settings).run_once,
                interval_s=INTAKE_S,
                await_work=self._intake.await_work,
            ),
            Loop(
                "outcomes",
                SendOutcomes(self._dispatcher, direct_outcomes, settings).run_once,
                interval_s=OUTCOMES_S,
                await_work=partial(self.store.await_work, "replies"),
            ),
            Loop(
                "direct_outcomes",
                direct_outcomes.run_once,
                interval_s=OUTCOMES_S,
                await_work=direct_outcomes.await_work,
            ),
        ]

    def _upkeep_loops(self, settings: Settings) -> list[Loop]:
        """Return the loops that recover what was lost, remove what is over, and measure the rest."""
        reclaim = Reclaim(self.store, self._publisher, settings, random.Random())
        measure = Measure(self.store, self._depths, deadline_s=settings.publish_deadline_s)
        dead_letters = KeepDeadLetters(self.store, self._depths, settings)
        repair = Repair(
            self._dispatcher,
            self._depths,
            deadline_s=settings.publish_deadline_s,
            after_s=settle_s(settings.heartbeat_s),
            is_on=settings.auto_repair,
        )
        return [
            Loop("leases", WatchLeases(self.store, settings).run_once, interval_s=LEASES_S),
            Loop("reclaim", reclaim.run_once, interval_s=RECLAIM_S),
            Loop("prune", Prune(self.store).run_once, interval_s=PRUNE_S),
            Loop("measure", measure.run_once, interval_s=MEASURE_S),
            Loop("repair", repair.run_once, interval_s=REPAIR_S),
            Loop("dead_letters", dead_letters.run_once, interval_s=DEAD_LETTERS_S),
            Loop("message_size", self._size_trial.run_once, interval_s=SIZE_S),
        ]

    def start(self) -> None:
        """Begin to connect, and start every loop."""
        begin(INTAKE_MESSAGES, "accepted", "refused")
        begin(REPLIES, "sent", "no_queue", "too_old", "no_record")
        begin(SCHEDULE_FIRES, *get_args(FireOutcome))
        begin(JOBS_RECLAIMED, *get_args(Reason))
        begin(JOBS_REPAIRED, *get_args(Problem))
        self._publisher.start()
        self._depths.start()
        self._intake.start()
        for loop in self._loops:
            loop.start()
        logger.info("scheduler started", extra={"loops": [loop.name for loop in self._loops]})

    def stop(self) -> None:
        """Return when every loop has stopped, or after `STOP_S`; safe to call twice.

        What a pass leaves half done is found again, by another scheduler or by the next start.
        """
        for loop in self._loops:
            loop.stop(0)
        deadline = time.monotonic() + STOP_S
        for loop in self._loops:
            loop.stop(max(0, deadline - time.monotonic()))
        self._intake.close()
        self._direct.close()
        self._depths.close()
        self._dispatcher.close()

    def sick(self) -> list[str]:
        """Return what is wrong with this process; empty if it works."""
        return [
            f"{loop.name} has been stuck for {loop.silent_s():.0f} s"
            for loop in self._loops
            if loop.silent_s() > STUCK_S
        ]

    def unready(self) -> list[str]:
        """Return what keeps the scheduler from its work; empty if nothing does."""
        problems = self.sick()
        if self._size_trial.problem:
            problems.append(self._size_trial.problem)
        if self._publisher.is_ready and self._intake.problem:
            problems.append(self._intake.problem)
        if not self._publisher.is_ready:
            problems.append(f"RabbitMQ: {self._publisher.state}")
        try:
            self.store.ping()
        except TaskyardError as error:
            problems.append(f"store: {error}")
        return problems
