"""What becomes of refused submissions: dead letters of the intake's queue, listed like all others."""

import logging
from collections.abc import Sequence

import msgspec

from services.scheduler import traces
from services.scheduler.intake.received import ReceivedSubmission
from taskyard.dead_letters.message import dead_letter
from taskyard.dead_letters.writer import DeadLetterWriter
from taskyard.errors import (
    InvalidSubmission,
    MessageTooLarge,
    StoreFault,
    TaskyardError,
    Unavailable,
)
from taskyard.job import JobError
from taskyard.message import MAX_PRIORITY
from taskyard.rabbitmq.bodies import cut
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.topology import INTAKE_QUEUE, dead_queue
from taskyard.telemetry.metrics import SUBMISSIONS_REFUSED

logger = logging.getLogger(__name__)

RefusedSubmission = tuple[ReceivedSubmission, TaskyardError]

#: Where they are kept.
REFUSED_QUEUE = dead_queue(INTAKE_QUEUE)


def write(
    refused: Sequence[RefusedSubmission],
    writer: DeadLetterWriter,
    *,
    max_bytes: int,
) -> dict[int, TaskyardError]:
    """Keep what is refused, with the reason, confirmed by RabbitMQ; return by place why one could not be.

    Args:
        refused: Submissions, and why.
        writer: What writes them.
        max_bytes: Of what is longer only the beginning is kept.
    """
    if not refused:
        return {}
    letters = [_letter(submission, error, max_bytes) for submission, error in refused]
    failures = writer.write(letters)
    _report([each for place, each in enumerate(refused) if place not in failures])
    return {place: failure.error for place, failure in failures.items()}


def _report(refused: Sequence[RefusedSubmission]) -> None:
    for submission, error in refused:
        SUBMISSIONS_REFUSED.labels(error.code).inc()
        traces.refused(submission, error.code)
        facts = {**submission.log_facts(), "code": error.code}
        logger.warning("submission refused", extra=facts)


def _letter(submission: ReceivedSubmission, error: TaskyardError, max_bytes: int) -> Outgoing:
    letter = dead_letter(
        INTAKE_QUEUE,
        cut(submission.body, max_bytes),
        id=submission.id,
        task=None,
        reason=_reason(error),
        error=JobError(type(error).__name__, str(error)),
        priority=min(submission.priority or 0, MAX_PRIORITY),
    )
    return msgspec.structs.replace(
        letter, correlation_id=submission.correlation_id, content_type=submission.content_type
    )


def _reason(error: TaskyardError) -> str:
    if isinstance(error, Unavailable):
        return "queue_refuses"
    if isinstance(error, StoreFault):
        return "store_fault"
    is_large = isinstance(error, MessageTooLarge) or (
        isinstance(error, InvalidSubmission)
        and any(fault.code == "too_large" for fault in error.faults)
    )
    return "too_large" if is_large else "invalid"
