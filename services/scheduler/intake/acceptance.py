"""What the jobs of a submission came to, and what its producer is told."""

import logging
from collections.abc import Sequence

import msgspec

from services.scheduler import traces
from services.scheduler.intake import submissions
from services.scheduler.intake.received import ReceivedSubmission
from services.scheduler.intake.submissions import RequestedJob
from taskyard.errors import InvalidSubmission, NotUnique, StoreFault, TaskyardError, Unavailable
from taskyard.faults import Fault, bounded
from taskyard.job import State
from taskyard.store.jobs import Created
from taskyard.store.replies import ReplyRequest
from taskyard.submission import Accepted, AcceptedBatch, Partial
from taskyard.telemetry.metrics import JOBS_SUBMITTED

logger = logging.getLogger(__name__)

#: A job that was asked for, and what became of it.
Made = tuple[RequestedJob, Created | TaskyardError]
_encode = msgspec.json.Encoder().encode


def report(submission: ReceivedSubmission, made: Sequence[Made]) -> None:
    """Tell traces and logs of a submission that was accepted."""
    job_ids = _ids(made)
    traces.accepted(submission, job_ids)
    if logger.isEnabledFor(logging.DEBUG):
        facts = {**submission.log_facts(), "job_id": job_ids[0], "jobs": len(job_ids)}
        logger.debug("submission accepted", extra=facts)


def count(made: Sequence[Made]) -> None:
    """Count the jobs that are new."""
    for wanted, one in made:
        if isinstance(one, Created) and one.is_new:
            JOBS_SUBMITTED.labels(wanted.job.queue, wanted.job.task, "amqp").inc()


def reply_requests(submission: ReceivedSubmission, made: Sequence[Made]) -> list[ReplyRequest]:
    """Return who is to be told of the outcome of the jobs that there are now."""
    return [
        ReplyRequest(one.id, submission.reply_to or "", submission.correlation_id or "")
        for wanted, one in made
        if wanted.reply == "result" and isinstance(one, Created) and not one.is_rejected
    ]


def refusing_queue(made: Sequence[Made]) -> str | None:
    """Return a queue that kept a job from being made, and may take it later."""
    refusing = (wanted.job.queue for wanted, one in made if isinstance(one, Unavailable))
    return next(refusing, None)


def is_taken(one: Created | TaskyardError) -> bool:
    """Return whether a job's message was published now, and its queue took it."""
    if not isinstance(one, Created) or one.state is not State.PENDING:
        return False
    return one.is_new or one.is_unconfirmed


def fault_of(made: Sequence[Made]) -> StoreFault | None:
    """Return why a job could not be recorded that may be once somebody has looked after the store's data."""
    return next((one for _, one in made if isinstance(one, StoreFault)), None)


def errors_of(made: Sequence[Made]) -> dict[int, TaskyardError]:
    """Return by their places why jobs were not made: of their queues, or a living one that is like them."""
    errors: dict[int, TaskyardError] = {}
    for index, (wanted, one) in enumerate(made):
        if isinstance(one, TaskyardError):
            errors[index] = one
        elif one.is_rejected:
            errors[index] = NotUnique(wanted.job.task, one.id)
    return errors


def _ids(made: Sequence[Made]) -> list[str]:
    return [one.id for _, one in made if isinstance(one, Created) and not one.is_rejected]


def one_error(errors: dict[int, TaskyardError], submission: ReceivedSubmission) -> TaskyardError:
    """Return the error of a submission of which no job was made."""
    is_of_queue = all(isinstance(error, Unavailable) for error in errors.values())
    if is_of_queue or not submissions.is_batch(submission.body):
        return errors[0]
    return InvalidSubmission(_faults(errors))


def _faults(errors: dict[int, TaskyardError]) -> list[Fault]:
    return bounded(Fault(f"/{index}", error.code, str(error)) for index, error in errors.items())


def only(submission: ReceivedSubmission, wanted: RequestedJob) -> ReceivedSubmission:
    """Return a submission of this job alone, to be kept: the others of its array were made."""
    return msgspec.structs.replace(submission, body=_encode(wanted.data), id=wanted.job.id)


def of(
    submission: ReceivedSubmission, made: Sequence[Made], errors: dict[int, TaskyardError]
) -> bytes:
    """Return the reply to a submission of which jobs were made, but for those with errors."""
    ids = _ids(made)
    if not submissions.is_batch(submission.body):
        return _encode(Accepted(ids[0]))
    if errors:
        rest = iter(ids)
        places = [None if index in errors else next(rest) for index in range(len(made))]
        return _encode(Partial(places, _faults(errors)))
    return _encode(AcceptedBatch(ids))
