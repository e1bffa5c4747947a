"""The chore that makes jobs of schedules: each fire time one job, whatever number of schedulers runs."""

import logging
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence

from msgspec.structs import replace

from services.scheduler.chores.joint_dispatch import JointDispatch, Steps
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.errors import InTheWay, InvalidSubmission, NotUnique, TaskyardError, loggable_text
from taskyard.job import TERMINAL
from taskyard.runtime.apart import Apart
from taskyard.schedules.jobs import job_of
from taskyard.schedules.plan import FireEvent, PlanStep, decide, event_of_fire, fired
from taskyard.schedules.record import ScheduleRecord
from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import Schedule, jitter_ms, job_id
from taskyard.store.jobs import Created, NewJob, Reach
from taskyard.store.schedules import ScheduleWrite, StoredSchedule
from taskyard.telemetry.metrics import JOBS_SUBMITTED, SCHEDULE_FIRES, SCHEDULE_LATENESS_SECONDS
from taskyard.telemetry.tracing import Publishing

logger = logging.getLogger(__name__)

#: Schedules of one pass; a pass that found any is followed by the next at once.
LIMIT = 100
#: How long a schedule that cannot be read is left alone. Milliseconds.
UNREADABLE_MS = 60_000
#: Who decided on a fire so long ago leaves it to others: its job may have been made, and forgotten. Seconds.
STALE_S = 10.0
#: Faults that a worker may cure by coming up.
_PASSING = frozenset({"unknown_task", "unknown_queue"})


class ForeignJob(TaskyardError):
    """The id of a fire time is that of a job that its schedule has not made."""

    code = "foreign_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is a job {job_id!r} already, which this schedule has not made")


class Fire:
    """Fires schedules that are due.

    Args:
        dispatcher: Where schedules and jobs are, and how jobs are published.
        settings: Limits of jobs.
        declared: The schedules that a file declares; None: there is no file.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: Settings,
        declared: Sequence[Schedule] | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._store = dispatcher.store
        self._settings = settings
        self._schedules = ScheduleRepository(dispatcher.store)
        self._catalogue = Catalogue(dispatcher.store)
        self._apart = Apart(
            "schedule", is_away=lambda: not dispatcher.publisher.is_ready, clock=clock
        )
        self._jobs = JointDispatch(dispatcher, self._apart, "queue of fire", clock=clock)
        self._undeclared = declared

    def run_once(self) -> float | None:
        """Fire what is due; return the seconds until something is, or None if nothing will be.

        Nothing is decided while RabbitMQ is away: what passes meanwhile is late, or missed.
        """
        self._synchronise()
        if not self._dispatcher.publisher.is_ready:
            return None
        due = self._store.due_schedules(LIMIT + len(self._apart))
        awake = [row for row in due.schedules if not self._apart.rests(row.name)]
        self._jobs.run(self._in_turn(awake, due.now_ms))
        if awake:
            return 0
        return None if due.next_due_ms < 0 else due.next_due_ms / 1000

    def _in_turn(
        self, awake: Sequence[StoredSchedule], read_at_ms: int
    ) -> Iterator[tuple[str, Steps]]:
        """Give what is done with each of these: as many as are decided on well before that is stale.

        Each scheduler has an order of its own, so that they seldom want the same one at a time.
        """
        read_at = time.monotonic()
        for row in random.sample(awake, len(awake)):
            passed_s = time.monotonic() - read_at
            if passed_s > STALE_S / 2:
                return
            yield row.name, self._look_after(row, read_at_ms + round(passed_s * 1000))

    def _synchronise(self) -> None:
        if self._undeclared is not None:
            self._schedules.synchronise(self._undeclared)
            logger.info("schedules declared", extra={"schedules": len(self._undeclared)})
            self._undeclared = None

    def _look_after(self, row: StoredSchedule, now_ms: int) -> Steps:
        """Take one schedule a step further."""
        try:
            found = ScheduleRecord.from_row(row)
        except ValueError:
            logger.exception("unreadable schedule", extra={"schedule": row.name})
            self._leave_alone(row, now_ms)
            return
        try:
            yield from self._step(found, now_ms)
        except InvalidSubmission as error:  # its own text has arguments
            logger.error(
                "schedule did not fire: %s", loggable_text(error), extra={"schedule": row.name}
            )
        except Exception as error:
            if not self._apart.is_shared(error):
                self._leave_alone(
                    row, now_ms
                )  # unless it was written before: then it is due later anyway
            raise

    def _leave_alone(self, row: StoredSchedule, now_ms: int) -> None:
        self._store.write_schedule(
            ScheduleWrite(
                name=row.name,
                revision=row.revision,
                spec=row.spec,
                state=row.state,
                version=row.version,
                due_at_ms=now_ms + UNREADABLE_MS,
            )
        )

    def _step(self, row: ScheduleRecord, now_ms: int) -> Steps:
        # Written even if nothing changes: so is when to look again, and who looks after it.
        began_at = time.monotonic()
        step = self._decide(row, now_ms) or PlanStep(row.state)
        decided = self._write(row, step, now_ms)
        if decided is None or decided.state.firing is None:
            return
        if time.monotonic() - began_at > STALE_S:
            return
        made = yield from self._make(decided, decided.state.firing, now_ms)
        if made is not None:
            self._write(decided, fired(decided.state, made), now_ms)

    def _decide(self, row: ScheduleRecord, now_ms: int) -> PlanStep | None:
        is_needed = row.schedule.overlap != "allow" or row.state.queued is not None
        is_active = is_needed and self._is_active(row.state.last_job)
        return decide(row.schedule, row.state, now_ms, is_last_active=is_active)

    def _is_active(self, last_job: str | None) -> bool:
        if last_job is None:
            return False
        (job,) = self._store.get([last_job])
        return job is not None and job.state not in TERMINAL

    def _write(self, row: ScheduleRecord, step: PlanStep, now_ms: int) -> ScheduleRecord | None:
        written = self._schedules.write(replace(row, state=step.state), now_ms, step.events)
        if written is not None:
            for event in step.events:
                _report(row.schedule, event)
        return written

    def _make(
        self, row: ScheduleRecord, fire_at: int, now_ms: int
    ) -> Generator[NewJob, Created, FireEvent | None]:
        """Make the job of a fire time; None: its queue rests, or its task may still come up."""
        try:
            made = yield from self._submitted(row, fire_at, now_ms)
        except InvalidSubmission as error:
            waits_ms = self._settings.unknown_task_ttl * 1000
            if {fault.code for fault in error.faults} <= _PASSING and now_ms - fire_at < waits_ms:
                logger.warning("schedule waits: %s", error, extra={"schedule": row.name})
                return None
            return event_of_fire(fire_at, now_ms, refused=str(error)[:1000])
        except NotUnique as error:  # which one: not for the text, whose readers may not reach it
            reason = f"a job of {row.schedule.task!r} like this one has not ended yet"
            return event_of_fire(fire_at, now_ms, job_id=error.holder, refused=reason)
        except (InTheWay, ForeignJob) as error:
            return event_of_fire(fire_at, now_ms, refused=str(error))
        # Only now: where nothing could be made in its place, the previous job goes on.
        if made is not None and row.state.cancels not in (None, made.job_id):
            self._cancel(row.state.cancels, row.state.reach)
        return made

    def _cancel(self, job_id: str, reach: Reach | None) -> None:
        """Cancel the previous job, unless it is out of reach of who has written the schedule since."""
        if reach is not None:
            (job,) = self._store.get([job_id])
            if job is None or not reach.has(job.message.task, job.queue):
                return
        self._store.cancel([job_id], self._settings.result_ttl * 1000)

    def _submitted(
        self, row: ScheduleRecord, fire_at: int, now_ms: int
    ) -> Generator[NewJob, Created, FireEvent | None]:
        schedule = row.schedule
        facts = {"taskyard.schedule": schedule.name}
        with Publishing("", schedule.task, **facts) as publishing:
            job = job_of(
                schedule,
                self._catalogue,
                payload_max_bytes=self._settings.payload_max_bytes,
                job_id=job_id(schedule.name, fire_at),
                reach=row.state.reach,
                traceparent=publishing.traceparent,
            )
            if self._jobs.queue_rests(job.queue):
                return None
            created = yield job
            if created.is_rejected:
                raise NotUnique(job.task, created.id)
            if not created.is_new and created.id == job.id and not self._is_own(job):
                raise ForeignJob(job.id)
            publishing.made(created.id, job.queue, is_new=created.is_new)
        if created.is_new:
            JOBS_SUBMITTED.labels(job.queue, job.task, "schedule").inc()
        return event_of_fire(fire_at, now_ms, job_id=created.id)

    def _is_own(self, job: NewJob) -> bool:
        """Return whether the job of this id came of the same fire time: then another scheduler made it."""
        (found,) = self._store.get([job.id])
        if found is None:
            return True
        return (found.message.options.origin, found.message.task) == ("schedule", job.task)


def _report(schedule: Schedule, event: FireEvent) -> None:
    """Count an event that was written, and log it where somebody may want to know."""
    SCHEDULE_FIRES.labels(event.outcome).inc()
    if event.outcome == "fired":
        late_ms = event.at - event.fire_at - jitter_ms(schedule, event.fire_at)
        SCHEDULE_LATENESS_SECONDS.observe(max(0, late_ms) / 1000)
    elif event.outcome != "queued":
        # The reason of a refusal may quote arguments: that is for the history, not for logs.
        why = "see its history" if event.outcome == "refused" else event.reason
        logger.warning("schedule %s: %s", event.outcome, why, extra={"schedule": schedule.name})
