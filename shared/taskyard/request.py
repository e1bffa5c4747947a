"""What may be asked of a job, and the checks that every door applies to it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from taskyard import message as wire
from taskyard.errors import InvalidSubmission
from taskyard.faults import MAX_FAULTS, Fault, pointer_part
from taskyard.message import MAX_SECONDS
from taskyard.validation.field_words import field_words

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
    fields = model.model_fields
    if len(data) <= len(fields) + MAX_FAULTS:
        return data
    unknown = islice((name for name in data if name not in fields), MAX_FAULTS + 1)
    return {name: data[name] for name in chain(fields.keys() & data.keys(), unknown)}


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
