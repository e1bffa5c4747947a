"""The intake: makes jobs of what programs in any language published to `taskyard.submit`."""

import logging
from collections.abc import Sequence

import msgspec
from structlog.contextvars import bound_contextvars

from services.scheduler import acceptance, refusals, submissions, traces
from services.scheduler.aside import Aside
from services.scheduler.intake_consumer import Answer, IntakeConsumer, Submission
from services.scheduler.refusals import Refused
from services.scheduler.submissions import Wish, is_now, queues_now
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.errors import InvalidSubmission, TaskyardError, Unavailable
from taskyard.metrics import INTAKE_BATCH, INTAKE_MESSAGES
from taskyard.store.base import Created, NewJob
from taskyard.store.replies import Asked
from taskyard.submission import refusal

logger = logging.getLogger(__name__)

#: Messages of one pass; a full pass is followed by the next at once.
LIMIT = 200

Wanted = tuple[Submission, list[Wish]]
_encode = msgspec.json.Encoder().encode


class Intake:
    """Validates submissions like the API does, dispatches them, and acknowledges what is durable.

    Where the store or RabbitMQ is away nothing is acknowledged: a pass fails, the next tries the same again.
    Where one queue takes no messages, what is for it waits aside; what finds no room there is refused.

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
        self._aside = Aside()

    def run_once(self) -> float | None:
        """Deal with what has come; return 0 if there may be more.

        Raises:
            Unavailable: If it has to be tried again.
        """
        self._aside.keep_only(self._consumer.ours)
        taken = self._aside.take(LIMIT)
        taken += self._consumer.take(LIMIT - len(taken))
        if not taken:
            return None
        try:
            pass_ = self._handle(taken)
        except BaseException:
            self._consumer.put_back(taken)
            raise
        self._consumer.finish(pass_.answers)
        for submission, queue in pass_.waiting:
            self._aside.hold(queue, submission)
        INTAKE_BATCH.observe(len(taken))
        return 0 if len(taken) == LIMIT else None

    def _handle(self, taken: Sequence[Submission]) -> "_Pass":
        if not self._catalogue.has_tasks():
            raise Unavailable("no worker has told its tasks yet")
        pass_ = _Pass(self._aside.room)
        going: list[Wanted] = []
        for submission in taken:
            traces.begin(submission)
            try:
                with bound_contextvars(**submission.log_facts()):
                    wishes = self._wishes(submission)
            except InvalidSubmission as error:
                pass_.refused.append((submission, error))
                continue
            queue = self._aside.in_the_way(queues_now(wishes))
            if queue is None:
                going.append((submission, wishes))
            elif not pass_.waits(submission, queue):
                pass_.refused.append((submission, self._aside.why(queue)))
        self._dispatch(going, pass_)
        refusals.bury(
            [*pass_.refused, *pass_.kept_out], self._dispatcher, deadline_s=self._deadline_s
        )
        INTAKE_MESSAGES.labels("accepted").inc(len(pass_.answers))
        INTAKE_MESSAGES.labels("refused").inc(len(pass_.refused) + len(pass_.kept_out))
        pass_.answers += [Answer(each, self._refusal(each, error)) for each, error in pass_.refused]
        return pass_

    def _wishes(self, submission: Submission) -> list[Wish]:
        return submissions.wishes(
            submission, self._catalogue, payload_max_bytes=self._payload_max_bytes
        )

    def _refusal(self, submission: Submission, error: TaskyardError) -> bytes:
        is_free = submissions.may_reply(submission, self._catalogue)
        return _encode(refusal(error)) if is_free else b""

    def _dispatch(self, going: Sequence[Wanted], pass_: "_Pass") -> None:
        """Dispatch each job by itself, and note who waits for an outcome: who is answered is sure of both."""
        jobs = [wish.job for _, wishes in going for wish in wishes]
        results = self._dispatcher.dispatch_each(jobs)
        self._learn(jobs, results)
        rest = iter(results)
        asked: list[Asked] = []
        for submission, wishes in going:
            made = [(wish, next(rest)) for wish in wishes]
            acceptance.count(made)
            queue = acceptance.refusing_queue(made)
            if queue is not None and pass_.waits(submission, queue):
                continue  # what was made of it stays: it comes again, and finds that there
            errors = acceptance.errors_of(made)
            asked += acceptance.asked(submission, made)
            if len(errors) == len(made):
                pass_.refused.append((submission, acceptance.one_error(errors, submission)))
                continue
            pass_.answers.append(Answer(submission, acceptance.of(submission, made, errors)))
            acceptance.tell(submission, made)
            pass_.kept_out += [
                (acceptance.only(submission, made[index][0]), error)
                for index, error in errors.items()
            ]
        self._dispatcher.store.ask_reply(asked)

    def _learn(self, jobs: Sequence[NewJob], results: Sequence[Created | TaskyardError]) -> None:
        """Take note of the queues that take no messages, and of those that do again."""
        refusing: dict[str, TaskyardError] = {}
        willing: set[str] = set()
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Unavailable):
                refusing[job.queue] = result
            elif is_now(job):
                willing.add(job.queue)
        for queue in willing - refusing.keys():
            self._aside.open(queue)
        for queue, error in refusing.items():
            self._aside.close(queue, error)


class _Pass:
    """What becomes of the submissions of one pass.

    Args:
        room: How many of them can wait.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.answers: list[Answer] = []
        self.refused: list[Refused] = []
        #: Parts of submissions that were accepted otherwise.
        self.kept_out: list[Refused] = []
        #: Each with the queue that it waits for.
        self.waiting: list[tuple[Submission, str]] = []

    def waits(self, submission: Submission, queue: str) -> bool:
        """Have a submission wait for a queue, if there is room."""
        if len(self.waiting) >= self._room:
            return False
        self.waiting.append((submission, queue))
        return True
