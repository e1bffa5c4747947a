"""What may be asked of a job, and the checks that every door applies to it."""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from taskyard import message as wire
from taskyard.arguments.signature import bound
from taskyard.errors import MAX_FAULTS, Fault, InvalidSubmission, pointer_part
from taskyard.message import MAX_SECONDS, Message, Options
from taskyard.store.jobs import NewJob, Unique, UniquePolicy
from taskyard.validation.field_words import field_words
from taskyard.validation.nesting import check_json_depth
from taskyard.validation.strict_json import unsendable

#: Ids that would be something else in a path: `GET /v1/jobs/count` counts, and `..` is one level up.
RESERVED_IDS = frozenset(
    {".", "..", "batch", "cancel", "count", "groups", "purge", "replay", "replays", "retry"}
)
_FIRE_ID = re.compile(wire.FIRE_ID_PATTERN)
#: Other years are mistakes, and some have no form in every time zone.
FIRST_YEAR, LAST_YEAR = 1970, 2199
_OF_AMQP = "is for submissions over AMQP, which name a queue to reply to; here wait for the job"
#: Fields that other doors know, and what to say of them.
_ELSEWHERE: dict[tuple[int | str, ...], str] = {("reply",): _OF_AMQP, ("reply_to",): _OF_AMQP}


def _integer(value: object) -> object:
    """Take 3 and 3.0, as JSON Schema does; leave true and "3" to be refused."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _time(value: object) -> object:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must be a time like 2026-11-24T10:00:00Z") from None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("must have a time zone, such as Z")
    if isinstance(value, datetime) and not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return value


# Behind the bounds of a field, which otherwise have no place in its JSON Schema.
Whole = BeforeValidator(_integer)
Integer = Annotated[int, Whole]
Seconds = Annotated[float, Field(allow_inf_nan=False, le=MAX_SECONDS)]
Time = Annotated[datetime, BeforeValidator(_time)]
Name = Annotated[str, Field(pattern=wire.NAME_PATTERN)]


class JobRequest(BaseModel):
    """A job as it is asked for; the same fields for REST, AMQP and Python."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    task: Name = Field(description="Name of the task to run.", examples=["background_task"])
    args: list[Any] = Field(default=[], description="Positional arguments.", examples=[[1, 2]])
    kwargs: dict[str, Any] = Field(default={}, description="Keyword arguments.")
    id: Annotated[str, Field(pattern=wire.ID_PATTERN)] | None = Field(
        default=None,
        description="Id of the caller's choice: the same id again is the same job. Default: a UUIDv7.",
        json_schema_extra={
            "not": {
                "anyOf": [
                    {"enum": [*sorted(RESERVED_IDS)]},
                    {"type": "string", "pattern": wire.FIRE_ID_PATTERN},
                ]
            }
        },
    )
    queue: Name | None = Field(default=None, description="Queue. Default: the task's own.")
    priority: Annotated[int, Field(ge=0, le=wire.MAX_PRIORITY), Whole] | None = Field(
        default=None,
        description="Higher first. Default: the task's own, which is 5 if it does not say.",
    )
    delay_s: Annotated[Seconds, Field(ge=0)] | None = Field(
        default=None, description="Run this many seconds from now; not together with run_at."
    )
    run_at: Time | None = Field(
        default=None, description="Run at this time (RFC 3339); at once if it has passed."
    )
    expires_s: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None, description="Seconds from its submission past which the job never starts."
    )
    max_retries: Annotated[int, Field(ge=0, le=1000), Whole] | None = Field(
        default=None, description="Retries if it fails. Default: the task's own, or MAX_RETRIES."
    )
    timeout_s: Annotated[Seconds, Field(gt=0)] | None = Field(
        default=None,
        description="Time limit of each attempt, in seconds. Default: the task's own, or TASK_TIMEOUT.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[], max_length=20, description="Words to find the job by."
    )


class UniqueRule(msgspec.Struct, frozen=True, kw_only=True):
    """What `@task(unique_for=…)` says: which jobs of the task are alike, for how long, and who yields."""

    for_s: float
    #: Parameters whose values make jobs alike; empty: all of them.
    key: tuple[str, ...] = ()
    policy: UniquePolicy = "existing"
    #: Gives the task's signature, as `signature.describe` does.
    signature: Callable[[], Mapping[str, Any]]

    def unique(self, request: JobRequest) -> Unique:
        """Return the lock of the job that `request` asks for."""
        values = bound(self.signature(), request.args, request.kwargs)
        chosen = {name: values.get(name) for name in self.key} if self.key else values
        text = json.dumps(chosen, sort_keys=True, default=_plain)
        digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
        lock_ms = max(1, round(self.for_s * 1000))
        return Unique(lock=f"{request.task}|{digest}", lock_ms=lock_ms, policy=self.policy)


def _plain(value: Any) -> Any:
    """Return a form of a value that JSON has none for; secrets show theirs only to who asks."""
    try:
        return wire.reveal(value)
    except TypeError:
        return str(value)


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a job gets where its request does not say; the task's own or the settings'."""

    queue: str
    priority: int
    max_retries: int
    timeout_s: float
    expires_s: float | None = None
    unique: UniqueRule | None = None


def parse(data: Mapping[str, Any]) -> JobRequest:
    """Return the request in `data`.

    Raises:
        InvalidSubmission: With everything that is wrong.
    """
    return validated(JobRequest, data, conflicts(data))


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: Mapping[str, Any], faults: Sequence[Fault] = ()) -> Model:
    """Return `data` as a `model`.

    Args:
        model: What its fields have to be.
        data: The fields.
        faults: What is wrong with them besides, taken together.

    Raises:
        InvalidSubmission: With everything that is wrong.
    """
    try:
        valid = model.model_validate(_with_few_unknown(model, data))
    except ValidationError as error:
        raise InvalidSubmission(chain(_field_faults(model, error), faults)) from None
    if faults:
        raise InvalidSubmission(faults)
    return valid


def _with_few_unknown(model: type[BaseModel], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `data` without most of the fields that the model does not have: all would be found, at once."""
    known = model.model_fields
    if len(data) <= len(known) + MAX_FAULTS:
        return data
    unknown = islice((name for name in data if name not in known), MAX_FAULTS + 1)
    return {name: data[name] for name in chain(known.keys() & data.keys(), unknown)}


def _field_faults(model: type[BaseModel], error: ValidationError) -> Iterator[Fault]:
    """Give pydantic's findings as faults."""
    for finding in error.errors(include_url=False, include_input=False):
        where = "".join(f"/{pointer_part(part)}" for part in finding["loc"])
        text = _ELSEWHERE.get(finding["loc"]) if finding["type"] == "extra_forbidden" else None
        yield Fault(where, finding["type"], text or field_words(model, finding))


def conflicts(data: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with fields taken together."""
    found = []
    queue, job_id = data.get("queue"), data.get("id")
    if data.get("delay_s") is not None and data.get("run_at") is not None:
        found.append(Fault("/run_at", "conflict", "give delay_s or run_at, not both"))
    if isinstance(queue, str) and queue.endswith(".dead"):
        found.append(Fault("/queue", "reserved", "names that end in .dead are for dead letters"))
    if isinstance(job_id, str) and job_id in RESERVED_IDS:
        text = f"{job_id!r} has a meaning of its own in paths; no job can have this id"
        found.append(Fault("/id", "reserved", text))
    if isinstance(job_id, str):
        found += fire_id_faults(job_id, "/id")
    if isinstance(queue, str) and queue.startswith(("amq.", "taskyard.")):
        found.append(Fault("/queue", "reserved", "RabbitMQ and taskyard have names like this"))
    return found


def fire_id_faults(job_id: str, pointer: str) -> list[Fault]:
    """Return what is wrong with an id that no schedule gave: whether it has the form of a fire time's."""
    if _FIRE_ID.fullmatch(job_id) is None:
        return []
    text = f"{job_id!r} has the form of a fire time's id: only schedules make such jobs"
    return [Fault(pointer, "fire_id", text)]


def new_job(
    request: JobRequest,
    defaults: Defaults,
    *,
    origin: str,
    payload_max_bytes: int,
    traceparent: str | None = None,
) -> NewJob:
    """Return the job that `request` asks for, with its message.

    Raises:
        InvalidSubmission: If an argument has no JSON form, the message is nested too deeply, or it is larger
            than `payload_max_bytes`.
    """
    message = _message(request, defaults, origin=origin, traceparent=traceparent)
    return NewJob(
        id=message.message_id,
        task=request.task,
        queue=message.queue_name,
        priority=message.priority,
        body=_body(message, request, payload_max_bytes),
        delay_ms=None if request.delay_s is None else round(request.delay_s * 1000),
        run_at_ms=None if request.run_at is None else round(request.run_at.timestamp() * 1000),
        unique=None if defaults.unique is None else defaults.unique.unique(request),
        traceparent=traceparent,
    )


def _message(
    request: JobRequest, defaults: Defaults, *, origin: str, traceparent: str | None
) -> Message:
    return Message(
        queue_name=request.queue or defaults.queue,
        task=request.task,
        args=request.args,
        kwargs=request.kwargs,
        options=Options(
            priority=defaults.priority if request.priority is None else request.priority,
            max_retries=defaults.max_retries
            if request.max_retries is None
            else request.max_retries,
            timeout_s=defaults.timeout_s if request.timeout_s is None else request.timeout_s,
            expires_s=defaults.expires_s if request.expires_s is None else request.expires_s,
            tags=request.tags,
            origin=origin,
            traceparent=traceparent,
        ),
        message_id=request.id or wire.new_id(),
        message_timestamp=time.time_ns() // 1_000_000,
    )


def _body(message: Message, request: JobRequest, max_bytes: int) -> str:
    try:
        body = wire.encode(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise _without_json_form(request, error) from None
    # The encoder makes null of NaN. A body without any null has none.
    if "null" in body and (fault := _unsendable(request)) is not None:
        raise InvalidSubmission([fault])
    encoded = body.encode()
    if len(encoded) > max_bytes:
        raise _too_large(len(encoded), max_bytes)
    check_json_depth(encoded)
    return body


def check_size(job: object, max_bytes: int) -> None:
    """Refuse one of several jobs that is larger than one alone may be, before anything else is said of it.

    Args:
        job: The job as it is asked for, as JSON was decoded to it.
        max_bytes: The most that it may take as JSON.

    Raises:
        InvalidSubmission: If it takes more.
    """
    size_bytes = len(msgspec.json.encode(job))
    if size_bytes > max_bytes:
        raise _too_large(size_bytes, max_bytes)


def _too_large(size_bytes: int, max_bytes: int) -> InvalidSubmission:
    text = f"the job takes {size_bytes} bytes, more than the {max_bytes} of PAYLOAD_MAX_BYTES"
    return InvalidSubmission([Fault("", "too_large", text)])


def _without_json_form(request: JobRequest, error: Exception) -> InvalidSubmission:
    fault = Fault("/args", "not_json", f"no JSON form: {error}")
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        fault = _unsendable(request) or fault
    return InvalidSubmission([fault])


def _unsendable(request: JobRequest) -> Fault | None:
    """Return the first argument without a form in JSON, of those that the encoder lets pass."""
    arguments = {"args": request.args, "kwargs": request.kwargs}
    return unsendable(msgspec.to_builtins(arguments))
