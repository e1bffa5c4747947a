"""The intake: makes jobs of what programs in any language published to `taskyard.submit`."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec
from structlog.contextvars import bound_contextvars

from services.scheduler import traces
from services.scheduler.intake import acceptance, refusals, submissions
from services.scheduler.intake.acceptance import Made
from services.scheduler.intake.consumer import IntakeConsumer
from services.scheduler.intake.held_submissions import HeldSubmissions
from services.scheduler.intake.intake_pass import Pass, Portion
from services.scheduler.intake.received import AnsweredSubmission, ReceivedSubmission
from services.scheduler.intake.refusals import REFUSED_QUEUE, RefusedSubmission
from services.scheduler.intake.submissions import RequestedJob, queues_now
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dead_letters.writer import DeadLetterWriter
from taskyard.dispatcher import Dispatcher
from taskyard.errors import (
    InvalidSubmission,
    StoreFault,
    TaskyardError,
    Unavailable,
    Unpublishable,
)
from taskyard.runtime.apart import Apart, all_or_each
from taskyard.submission import refusal
from taskyard.telemetry.metrics import INTAKE_BATCH, INTAKE_MESSAGES

logger = logging.getLogger(__name__)

ReadSubmission = tuple[ReceivedSubmission, list[RequestedJob]]
E = TypeVar("E", bound=Exception)
_encode = msgspec.json.Encoder().encode


class Intake:
    """Validates submissions like the API does, dispatches them, and acknowledges what is durable.

    Where the store or RabbitMQ is away a pass fails, and what it has not concluded goes back for the next.
    Where one queue takes no messages, what is for it waits aside, and so does what fails by itself, as at a
    damaged record; what finds no room there is refused. The queue of refused ones is such a queue too.

    Args:
        dispatcher: Where the jobs go.
        consumer: Where the submissions come from.
        settings: Limits of jobs.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        consumer: IntakeConsumer,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._consumer = consumer
        self._payload_max_bytes = settings.payload_max_bytes
        self._dead_letter_max_bytes = settings.dead_letter_max_bytes
        self._reply_prefix = settings.reply_queue_prefix
        self._writer = DeadLetterWriter(
            dispatcher.publisher, dispatcher.store, deadline_s=settings.publish_deadline_s
        )
        self._catalogue = Catalogue(dispatcher.store)
        self._apart = Apart(
            "submission", is_away=lambda: not dispatcher.publisher.is_ready, clock=clock
        )
        self._held = HeldSubmissions(self._apart, clock=clock)

    def run_once(self) -> float | None:
        """Deal with what has come; return 0 if there may be more.

        Raises:
            Unavailable: If it has to be tried again.
        """
        self._held.keep_only(self._consumer.ours)
        self._consumer.make_room(self._held.held, self._held.held_bytes)
        portion = Portion()
        portion.fill(self._held.take())
        portion.fill(self._come())
        if not portion.taken:
            return None
        pass_ = Pass(portion.taken, room=self._held.room, room_bytes=self._held.room_bytes)
        try:
            self._deal_with(pass_)
        finally:
            self._consumer.put_back(pass_.open)
        INTAKE_BATCH.observe(len(portion.taken))
        return 0 if portion.is_full else None

    def _come(self) -> Iterator[ReceivedSubmission]:
        while some := self._consumer.take(1):
            yield from some

    def _deal_with(self, pass_: Pass) -> None:
        try:
            self._decide(pass_)
        finally:
            self._conclude(pass_)

    def _conclude(self, pass_: Pass) -> None:
        """Put aside what waits, and answer what is safe."""
        for submission, queue in pass_.waiting:
            self._held.hold(queue, submission)
            pass_.conclude(submission)
        for submission, error in pass_.resting:
            self._held.rest(submission, error)
            pass_.conclude(submission)
        self._consumer.finish(pass_.answers)
        for answer in pass_.answers:
            pass_.conclude(answer.submission)
            self._apart.went_well(answer.submission.id)

    def _decide(self, pass_: Pass) -> None:
        if not self._catalogue.has_tasks():
            raise Unavailable("no worker has told its tasks yet")
        going: list[ReadSubmission] = []
        for submission in pass_.open:
            requested = self._read(submission, pass_)
            if requested is None:
                continue
            queue = self._held.in_the_way(queues_now(requested))
            if queue is None:
                going.append((submission, requested))
            elif not pass_.waits(submission, queue):
                pass_.refused.append((submission, self._held.why(queue)))
        self._dispatch(going, pass_)
        self._write_refused(pass_)

    def _read(self, submission: ReceivedSubmission, pass_: Pass) -> list[RequestedJob] | None:
        """Return what a submission asks for; None if it is dealt with, as it asks for nothing that can be."""
        traces.begin(submission)
        try:
            with bound_contextvars(**submission.log_facts()):
                return submissions.requested_jobs(
                    submission,
                    self._catalogue,
                    payload_max_bytes=self._payload_max_bytes,
                    reply_prefix=self._reply_prefix,
                )
        except InvalidSubmission as error:
            pass_.refused.append((submission, _light(error)))
        except Exception as error:
            if self._apart.is_shared(error):
                raise
            _light(error)
            if not pass_.rests(submission, error):
                pass_.refused.append((submission, _own(error)))
        return None

    def _write_refused(self, pass_: Pass) -> None:
        """Keep what is refused, and answer it; what cannot be kept now is dealt with anew, later.

        There is no other place for that, so it needs no room to wait.
        """
        keeping = [
            (AnsweredSubmission(each, self._refusal(each, error)), [(each, error)])
            for each, error in pass_.refused
        ] + pass_.partly
        going = []
        for answer, parts in keeping:
            if self._held.in_the_way([REFUSED_QUEUE]) is None:
                going.append((answer, parts))
            else:
                pass_.waiting.append((answer.submission, REFUSED_QUEUE))
        errors = self._keep([part for _, parts in going for part in parts])
        for answer, _ in going:
            error = errors.get(answer.submission.delivery)
            if error is None:
                pass_.answers.append(answer)
            elif isinstance(error, Unpublishable):
                pass_.resting.append((answer.submission, error))
            else:
                pass_.waiting.append((answer.submission, REFUSED_QUEUE))

    def _keep(self, refused: Sequence[RefusedSubmission]) -> dict[object, TaskyardError]:
        """Keep these each by itself; return by delivery why one could not be."""
        errors = refusals.write(refused, self._writer, max_bytes=self._dead_letter_max_bytes)
        INTAKE_MESSAGES.labels("refused").inc(len(refused) - len(errors))
        of_queue = [each for each in errors.values() if not isinstance(each, Unpublishable)]
        if of_queue:
            self._held.close(REFUSED_QUEUE, of_queue[0])
        elif len(errors) < len(refused):
            self._held.open(REFUSED_QUEUE)
        return {refused[place][0].delivery: error for place, error in errors.items()}

    def _refusal(self, submission: ReceivedSubmission, error: TaskyardError) -> bytes:
        fault = submissions.reply_fault(submission, self._catalogue, prefix=self._reply_prefix)
        return _encode(refusal(error)) if fault is None else b""

    def _dispatch(self, going: Sequence[ReadSubmission], pass_: Pass) -> None:
        """Dispatch each job by itself, and note who waits for an outcome: who is answered is sure of both."""
        done: list[tuple[ReceivedSubmission, list[Made]]] = []
        for (submission, _), made in zip(going, self._make(going), strict=True):
            acceptance.count(made)
            queue = acceptance.refusing_queue(made)
            if queue is not None and pass_.waits(submission, queue):
                continue  # what was made of it stays: it comes again, and finds that there
            fault = acceptance.fault_of(made)
            if fault is not None and pass_.rests(submission, fault):
                continue
            done.append((submission, made))
        for (submission, made), unasked in zip(done, self._ask(done), strict=True):
            errors = acceptance.errors_of(made)
            if len(errors) == len(made):
                pass_.refused.append((submission, acceptance.one_error(errors, submission)))
                continue
            if isinstance(unasked, StoreFault) and pass_.rests(submission, unasked):
                continue
            parts: list[RefusedSubmission] = [
                (acceptance.only(submission, made[index][0]), error)
                for index, error in errors.items()
            ]
            if unasked is not None:  # accepted all the same: its jobs are made
                parts.append((submission, unasked))
            pass_.accept(
                AnsweredSubmission(submission, acceptance.of(submission, made, errors)), parts
            )
            acceptance.report(submission, made)
            INTAKE_MESSAGES.labels("accepted").inc()

    def _make(self, going: Sequence[ReadSubmission]) -> list[list[Made]]:
        """Dispatch; return what became of the jobs of each submission."""

        def dispatch(going: Sequence[ReadSubmission]) -> list[list[Made]]:
            results = self._dispatcher.dispatch_each(
                [w.job for _, requested in going for w in requested]
            )
            rest = iter(results)
            return [[(wanted, next(rest)) for wanted in requested] for _, requested in going]

        results = all_or_each(going, dispatch)
        made_of: list[list[Made]] = [
            [(wanted, made) for wanted in requested] if isinstance(made, TaskyardError) else made
            for (_, requested), made in zip(going, results, strict=True)
        ]
        self._learn([each for made in made_of for each in made])
        return made_of

    def _ask(
        self, done: Sequence[tuple[ReceivedSubmission, list[Made]]]
    ) -> list[TaskyardError | None]:
        """Note who waits for an outcome; return for each submission why that failed, if it did."""

        def ask(done: Sequence[tuple[ReceivedSubmission, list[Made]]]) -> list[None]:
            wanted = [acceptance.reply_requests(submission, made) for submission, made in done]
            self._dispatcher.store.request_replies([each for some in wanted for each in some])
            return [None] * len(done)

        return all_or_each(done, ask)

    def _learn(self, made: Sequence[Made]) -> None:
        """Take note of the queues that take no messages, and of those that do again."""
        refusing = {wanted.job.queue: one for wanted, one in made if isinstance(one, Unavailable)}
        willing = {wanted.job.queue for wanted, one in made if acceptance.is_taken(one)}
        for queue in willing - refusing.keys():
            self._held.open(queue)
        for queue, error in refusing.items():
            self._held.close(queue, error)


def _light(error: E) -> E:
    """Return an error without where it was raised: that keeps the body, and all of the pass, for long."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _own(error: Exception) -> TaskyardError:
    """Return an error whose text is safe to publish: that of others may quote arguments."""
    if isinstance(error, TaskyardError):
        return error
    return TaskyardError(f"the scheduler failed at it: {type(error).__name__}")
