"""What a submission over AMQP asks for: its jobs, or all that is wrong with it."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from services.scheduler.intake.received import ReceivedSubmission
from taskyard.catalogue import Catalogue
from taskyard.errors import InvalidSubmission
from taskyard.faults import MAX_FAULTS, Fault
from taskyard.job_creation import check_size, new_job
from taskyard.message import Undecodable
from taskyard.rabbitmq.bodies import whole_bytes
from taskyard.rabbitmq.direct_replies import is_direct
from taskyard.rabbitmq.topology import is_reserved
from taskyard.store.jobs import NewJob
from taskyard.submission import MAX_BATCH_JOBS, Reply, reply_wanted
from taskyard.validation import strict_json

#: What names begin with that RabbitMQ itself gives to queues: nobody else can choose one.
SERVER_NAMED = "amq.gen-"
#: How often PAYLOAD_MAX_BYTES a body may be long that is an array.
MAX_BATCH_PAYLOADS = 16


#: A `correlation_id` so long, and other than the id, tells a producer from others: UUIDs, ULIDs and what else
#: is drawn are longer, counters and clocks are not. Characters.
MIN_SECRET = 20


class RequestedJob(Struct, frozen=True):
    """One job that is asked for."""

    job: NewJob
    reply: Reply
    #: As it was submitted.
    data: dict[str, Any]


def is_now(job: NewJob) -> bool:
    """Return whether a queue has to take the job's message before it is accepted."""
    return job.delay_ms is None and job.run_at_ms is None


def queues_now(requested: Sequence[RequestedJob]) -> set[str]:
    """Return the queues that have to take messages before a submission is accepted."""
    return {wanted.job.queue for wanted in requested if is_now(wanted.job)}


def requested_jobs(
    submission: ReceivedSubmission,
    catalogue: Catalogue,
    *,
    payload_max_bytes: int,
    reply_prefix: str,
) -> list[RequestedJob]:
    """Return what a submission asks for, with the checks of REST; all or none.

    Args:
        submission: As it came.
        catalogue: The tasks there are.
        payload_max_bytes: How long a job may be.
        reply_prefix: What queues for replies begin with, beside those that RabbitMQ names.

    Raises:
        InvalidSubmission: With everything that is wrong, in an array with the index first.
        StoreUnavailable: If the catalogue could not be read.
    """
    fault = reply_fault(submission, catalogue, prefix=reply_prefix)
    if fault is not None:
        raise InvalidSubmission([fault])
    data = _decode(submission.body, payload_max_bytes)
    if isinstance(data, dict):
        return [_wish(data, submission, submission.id, catalogue, payload_max_bytes)]
    found: list[RequestedJob] = []
    faults: list[Fault] = []
    may_be_large = len(submission.body) > payload_max_bytes
    for index, each in enumerate(data):
        try:
            if may_be_large:
                check_size(each, payload_max_bytes)
            job_id = f"{submission.id}:{index}"
            found.append(_wish(each, submission, job_id, catalogue, payload_max_bytes))
        except InvalidSubmission as error:
            faults += error.at(f"/{index}")
        if len(faults) > MAX_FAULTS:
            break
    if faults:
        raise InvalidSubmission(faults)
    return found


def reply_fault(
    submission: ReceivedSubmission, catalogue: Catalogue, *, prefix: str
) -> Fault | None:
    """Return why no reply may go where `reply_to` says, or None: others would read it as a message of theirs.

    A producer has no rights on queues of others, and does not get them by having taskyard write there.

    Raises:
        StoreUnavailable: If the catalogue could not be read.
    """
    name = submission.reply_to
    if not name:
        return None
    subject = f"the property reply_to names {name!r}"
    if not (is_direct(name) or name.startswith((SERVER_NAMED, prefix))):
        text = (
            f"{subject}: it must be amq.rabbitmq.reply-to, or begin with {SERVER_NAMED!r}"
            f" or {prefix!r} (REPLY_QUEUE_PREFIX)"
        )
        return Fault("", "not_for_replies", text)
    if is_reserved(name) or catalogue.has_queue(name):
        return Fault("", "reserved", f"{subject}, where taskyard's messages are")
    return None


def is_batch(body: bytes) -> bool:
    """Return whether a body is meant as an array."""
    return body.lstrip()[:1] == b"["


def _decode(body: bytes, payload_max_bytes: int) -> dict[str, Any] | list[Any]:
    max_bytes = payload_max_bytes * (MAX_BATCH_PAYLOADS if is_batch(body) else 1)
    if whole_bytes(body) > max_bytes:
        what = f"{MAX_BATCH_PAYLOADS} times PAYLOAD_MAX_BYTES" if is_batch(body) else ""
        text = f"the body is larger than the {max_bytes} bytes of {what or 'PAYLOAD_MAX_BYTES'}"
        raise InvalidSubmission([Fault("", "too_large", text)])
    try:
        data = strict_json.decode(body)
    except Undecodable as error:
        text = f"the body is not JSON: {error}"
        raise InvalidSubmission([Fault("", "bad_request", text)]) from None
    if isinstance(data, dict):
        return data
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_BATCH_JOBS:
        text = f"the body must be a JSON object, or an array of 1 to {MAX_BATCH_JOBS}"
        raise InvalidSubmission([Fault("", "type", text)])
    return data


def _wish(
    data: Any,
    submission: ReceivedSubmission,
    job_id: str,
    catalogue: Catalogue,
    payload_max_bytes: int,
) -> RequestedJob:
    if not isinstance(data, dict):
        raise InvalidSubmission([Fault("", "type", "a submission must be a JSON object")])
    stated = {"id": job_id, "priority": submission.priority, "queue": submission.routing_key}
    implied = {k: v for k, v in stated.items() if v not in (None, "") and data.get(k) is None}
    faults: list[Fault] = []
    reply: Reply = "accepted"
    try:
        reply = reply_wanted(data, submission.reply_to)
    except InvalidSubmission as error:
        faults += error.faults
    try:
        fields = {name: value for name, value in data.items() if name != "reply"}
        request, defaults = catalogue.check({**fields, **implied})
    except InvalidSubmission as error:
        raise InvalidSubmission([*error.faults, *faults]) from None
    if faults:
        raise InvalidSubmission(faults)
    job = new_job(
        request,
        defaults,
        origin="amqp",
        payload_max_bytes=payload_max_bytes,
        traceparent=submission.traceparent,
    )
    return RequestedJob(_with_submitter(job, submission), reply, data)


def _with_submitter(job: NewJob, submission: ReceivedSubmission) -> NewJob:
    """Return the job with what tells that a later submission of its id is of the same producer."""
    secret = submission.correlation_id or ""
    if len(secret) < MIN_SECRET or job.id.startswith(secret):  # anybody may know the id
        secret = ""
    return structs.replace(job, reply_to=submission.reply_to or "", correlation_id=secret)
