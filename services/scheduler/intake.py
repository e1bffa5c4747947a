"""The intake: makes jobs of what programs in any language published to `taskyard.submit`."""

import logging
from collections.abc import Sequence

import msgspec
from structlog.contextvars import bound_contextvars

from services.scheduler import refusals, submissions, traces
from services.scheduler.intake_consumer import Answer, IntakeConsumer, Submission
from services.scheduler.refusals import Refused
from services.scheduler.submissions import Wish
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.errors import Fault, InvalidSubmission, NotUnique, TaskyardError, Unavailable
from taskyard.metrics import INTAKE_BATCH, INTAKE_MESSAGES, JOBS_SUBMITTED
from taskyard.store.base import Created
from taskyard.store.replies import Asked
from taskyard.submission import Accepted, AcceptedBatch, Partial, refusal

logger = logging.getLogger(__name__)

#: Messages of one pass; a full pass is followed by the next at once.
LIMIT = 200

Wanted = tuple[Submission, list[Wish]]
Made = tuple[Wish, Created]
_encode = msgspec.json.Encoder().encode


class Intake:
    """Validates submissions like the API does, dispatches them, and acknowledges what is durable.

    Where the store or RabbitMQ is away nothing is acknowledged: a pass fails, the next tries the same again.

    Args:
        dispatcher: Where the jobs go.
        consumer: Where the submissions come from.
        settings: Limits of jobs.
    """

    def __init__(
        self, dispatcher: Dispatcher, consumer: IntakeConsumer, settings: Settings
    ) -> None:
        self._dispatcher = dispatcher
        self._consumer = consumer
        self._payload_max_bytes = settings.payload_max_bytes
        self._deadline_s = settings.publish_deadline_s
        self._catalogue = Catalogue(dispatcher.store)

    def run_once(self) -> float | None:
        """Deal with what has come; return 0 if there may be more.

        Raises:
            Unavailable: If it has to be tried again.
        """
        taken = self._consumer.take(LIMIT)
        if not taken:
            return None
        try:
            answers = self._handle(taken)
        except BaseException:
            self._consumer.put_back(taken)
            raise
        self._consumer.finish(answers)
        INTAKE_BATCH.observe(len(taken))
        return 0 if len(taken) == LIMIT else None

    def _handle(self, taken: Sequence[Submission]) -> list[Answer]:
        if not self._catalogue.has_tasks():
            raise Unavailable("no worker has told its tasks yet")
        wanted: list[Wanted] = []
        refused: list[Refused] = []
        for submission in taken:
            traces.begin(submission)
            try:
                with bound_contextvars(**submission.log_facts()):
                    wanted.append((submission, self._wishes(submission)))
            except InvalidSubmission as error:
                refused.append((submission, error))
        kept_out: list[Refused] = []
        answers = self._dispatch_apart(wanted, refused, kept_out)
        refusals.bury([*refused, *kept_out], self._dispatcher, deadline_s=self._deadline_s)
        INTAKE_MESSAGES.labels("accepted").inc(len(answers))
        INTAKE_MESSAGES.labels("refused").inc(len(refused) + len(kept_out))
        return [*answers, *(Answer(each, self._refusal(each, error)) for each, error in refused)]

    def _wishes(self, submission: Submission) -> list[Wish]:
        return submissions.wishes(
            submission, self._catalogue, payload_max_bytes=self._payload_max_bytes
        )

    def _refusal(self, submission: Submission, error: TaskyardError) -> bytes:
        is_free = submissions.may_reply(submission, self._catalogue)
        return _encode(refusal(error)) if is_free else b""

    def _dispatch_apart(
        self, wanted: Sequence[Wanted], refused: list[Refused], kept_out: list[Refused]
    ) -> list[Answer]:
        """Dispatch all at once or, where one queue is out of order, each by itself."""
        try:
            return self._dispatch(wanted, refused, kept_out)
        except Unavailable:
            raise
        except TaskyardError as error:
            if len(wanted) == 1:
                refused.append((wanted[0][0], error))
                return []
            return [
                answer
                for each in wanted
                for answer in self._dispatch_apart([each], refused, kept_out)
            ]

    def _dispatch(
        self, wanted: Sequence[Wanted], refused: list[Refused], kept_out: list[Refused]
    ) -> list[Answer]:
        """Dispatch, and note who waits for an outcome: a submission is answered once both is recorded."""
        jobs = [wish.job for _, wishes in wanted for wish in wishes]
        created = iter(self._dispatcher.dispatch(jobs))
        answers, asked = [], []
        for submission, wishes in wanted:
            made = [(wish, next(created)) for wish in wishes]
            _count(made)
            asked += _asked(submission, made)
            errors = _not_unique(made)
            if len(errors) == len(made):
                refused.append((submission, _one(errors, submission)))
            else:
                answers.append(Answer(submission, _acceptance(submission, made, errors)))
                _tell(submission, [one.id for _, one in made if not one.is_rejected])
                kept_out += [
                    (_only(submission, made[index][0]), error) for index, error in errors.items()
                ]
        self._dispatcher.store.ask_reply(asked)
        return answers


def _tell(submission: Submission, job_ids: Sequence[str]) -> None:
    traces.accepted(submission, job_ids)
    if logger.isEnabledFor(logging.DEBUG):
        facts = {**submission.log_facts(), "job_id": job_ids[0], "jobs": len(job_ids)}
        logger.debug("submission accepted", extra=facts)


def _count(made: Sequence[Made]) -> None:
    for wish, one in made:
        if one.is_new:
            JOBS_SUBMITTED.labels(wish.job.queue, wish.job.task, "amqp").inc()


def _asked(submission: Submission, made: Sequence[Made]) -> list[Asked]:
    """Return who is to be told of the outcome of the jobs that there are now."""
    return [
        Asked(one.id, submission.reply_to or "", submission.correlation_id or "")
        for wish, one in made
        if wish.reply == "result" and not one.is_rejected
    ]


def _not_unique(made: Sequence[Made]) -> dict[int, NotUnique]:
    """Return the errors of jobs that were not made because a living one is like them, by their places."""
    return {
        index: NotUnique(wish.job.task, one.id)
        for index, (wish, one) in enumerate(made)
        if one.is_rejected
    }


def _one(errors: dict[int, NotUnique], submission: Submission) -> TaskyardError:
    if not submissions.is_batch(submission.body):
        return errors[0]
    return InvalidSubmission(_faults(errors))


def _faults(errors: dict[int, NotUnique]) -> list[Fault]:
    return [Fault(f"/{index}", error.code, str(error)) for index, error in errors.items()]


def _only(submission: Submission, wish: Wish) -> Submission:
    """Return a submission of this job alone, to be kept: the others of its array were made."""
    return msgspec.structs.replace(submission, body=_encode(wish.data), id=wish.job.id)


def _acceptance(
    submission: Submission, made: Sequence[Made], errors: dict[int, NotUnique]
) -> bytes:
    if not submissions.is_batch(submission.body):
        return _encode(Accepted(made[0][1].id))
    if errors:
        ids = [None if one.is_rejected else one.id for _, one in made]
        return _encode(Partial(ids, _faults(errors)))
    return _encode(AcceptedBatch([one.id for _, one in made]))
