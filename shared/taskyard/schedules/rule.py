"""The rule of a schedule, and its fire times: pure functions that get the time passed in."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from taskyard import message
from taskyard.faults import Fault
from taskyard.request import JobRequest, Name, Seconds, Time, Whole, validated
from taskyard.schedules.cron import MAX_LENGTH, Cron, zone

Missed = Literal["skip", "once", "all"]
Overlap = Literal["allow", "skip", "queue_one", "cancel_previous"]

#: Fields that are handed to the job as they are.
JOB_FIELDS = (
    "task",
    "args",
    "kwargs",
    "queue",
    "priority",
    "max_retries",
    "timeout_s",
    "expires_s",
    "tags",
)
#: Fields that say when it fires: a change of one of them makes it start anew.
TIMING_FIELDS = ("cron", "every_s", "anchor_at", "timezone", "jitter_s")
MAX_MISSED = 1000
HOUR_MS = 3_600_000


def _of_job(name: str) -> Any:
    """Return a field as a job's request has it."""
    return JobRequest.model_fields[name]


class Schedule(BaseModel):
    """A rule by which a task runs again and again."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: Name = Field(description="Its name.", examples=["nightly-report"])
    description: str = Field(default="", max_length=1000, description="What it is for, for people.")
    cron: Annotated[str, Field(max_length=MAX_LENGTH)] | None = Field(
        default=None,
        description="Five fields (minute, hour, day, month, weekday) or @hourly, @daily, @weekly, …; "
        "either this or every_s.",
        examples=["30 3 * * *"],
    )
    every_s: Annotated[Seconds, Field(ge=1)] | None = Field(
        default=None, description="Seconds from one fire time to the next; either this or cron."
    )
    anchor_at: Time | None = Field(
        default=None,
        description="A time that every_s counts from, forth and back. Default: its creation.",
    )
    timezone: str = Field(
        default="UTC", max_length=100, description="Zone of cron.", examples=["Europe/Berlin"]
    )
    jitter_s: Annotated[Seconds, Field(ge=0, le=86_400)] = Field(
        default=0.0,
        description="Fire up to so many seconds later, by a fixed choice for each time.",
    )
    missed: Missed = Field(
        default="once",
        description="What becomes of fire times that passed while no scheduler ran: none runs, "
        "the last one does, or all (at most missed_max, the latest).",
    )
    missed_max: Annotated[int, Field(ge=1, le=MAX_MISSED), Whole] = Field(
        default=100, description="How many missed fire times run at most, with missed = all."
    )
    grace_s: Annotated[Seconds, Field(ge=0)] = Field(
        default=60.0, description="A fire time so many seconds late is not missed yet."
    )
    overlap: Overlap = Field(
        default="allow",
        description="What to do at a fire time while the job of the last one has not ended: run beside "
        "it, skip, wait for its end (one at most), or cancel it.",
    )
    is_paused: bool = Field(default=False, description="Whether it does not fire for now.")

    task: Name = _of_job("task")
    args: list[Any] = _of_job("args")
    kwargs: dict[str, Any] = _of_job("kwargs")
    queue: Name | None = _of_job("queue")
    priority: Annotated[int, Field(ge=0, le=message.MAX_PRIORITY), Whole] | None = _of_job(
        "priority"
    )
    max_retries: Annotated[int, Field(ge=0, le=1000), Whole] | None = _of_job("max_retries")
    timeout_s: Annotated[Seconds, Field(gt=0)] | None = _of_job("timeout_s")
    expires_s: Annotated[Seconds, Field(gt=0)] | None = _of_job("expires_s")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = _of_job("tags")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("cron")
    @classmethod
    def _valid_cron(cls, value: str | None) -> str | None:
        if value is not None:
            Cron(value, zone("UTC"))
        return value

    def job_fields(self) -> dict[str, Any]:
        """Return those fields of a submission that are given here."""
        values = self.model_dump(include=set(JOB_FIELDS))
        return {name: value for name, value in values.items() if value is not None}

    def timing(self) -> tuple[Any, ...]:
        """Return what its fire times depend on."""
        return tuple(getattr(self, name) for name in TIMING_FIELDS)


def parse(data: Mapping[str, Any]) -> Schedule:
    """Return the schedule in `data`.

    Raises:
        InvalidSubmission: With everything that is wrong.
    """
    return validated(Schedule, data, _conflicts(data))


def _conflicts(data: Mapping[str, Any]) -> list[Fault]:
    has_cron, has_every = (data.get(name) is not None for name in ("cron", "every_s"))
    faults = []
    if has_cron and has_every:
        faults.append(Fault("/every_s", "conflict", "give cron or every_s, not both"))
    if not has_cron and not has_every:
        faults.append(Fault("/cron", "missing", "give cron or every_s"))
    if has_cron and data.get("anchor_at") is not None:
        faults.append(Fault("/anchor_at", "conflict", "goes with every_s only"))
    return faults


def times(schedule: Schedule, after_ms: int, *, anchor_ms: int) -> Iterator[int]:
    """Give the fire times after `after_ms`, in order; all times in milliseconds since 1970.

    Args:
        schedule: Whose.
        after_ms: Only later ones.
        anchor_ms: What an interval counts from, if the schedule does not say.
    """
    if schedule.every_s is not None:
        yield from _interval_times(schedule, after_ms, anchor_ms)
    elif schedule.cron is not None:
        after = datetime.fromtimestamp(after_ms / 1000, UTC)
        for moment in _cron(schedule.cron, schedule.timezone).times(after):
            yield round(moment.timestamp()) * 1000


def next_time(schedule: Schedule, after_ms: int, *, anchor_ms: int) -> int | None:
    """Return the first fire time after `after_ms`, or None if there is none any more."""
    return next(times(schedule, after_ms, anchor_ms=anchor_ms), None)


def last_times(
    schedule: Schedule, after_ms: int, until_ms: int, *, anchor_ms: int, limit: int
) -> list[int]:
    """Return the last fire times after `after_ms` up to `until_ms`, in order and at most `limit`.

    However many there are in between: it looks back over an ever longer time until it has found enough.
    """
    span_ms = HOUR_MS
    while True:
        start_ms = max(after_ms, until_ms - span_ms)
        found = []
        for time_ms in times(schedule, start_ms, anchor_ms=anchor_ms):
            if time_ms > until_ms:
                break
            found.append(time_ms)
        if len(found) >= limit or start_ms == after_ms:
            return found[-limit:]
        span_ms *= 2


def preview(schedule: Schedule, after_ms: int, *, anchor_ms: int, count: int) -> list[int]:
    """Return the next `count` fire times, or as many as there are."""
    return list(islice(times(schedule, after_ms, anchor_ms=anchor_ms), count))


def jitter_ms(schedule: Schedule, time_ms: int) -> int:
    """Return how much after its time a fire is due; each scheduler comes to the same."""
    if schedule.jitter_s == 0:
        return 0
    digest = hashlib.sha256(f"{schedule.name}:{time_ms}".encode()).digest()
    return int.from_bytes(digest[:8]) % (round(schedule.jitter_s * 1000) + 1)


def job_id(name: str, time_ms: int) -> str:
    """Return the id of the one job of a fire time; milliseconds are in it only if there are any."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    rest_ms = time_ms % 1000
    return f"{name}:{moment:%Y%m%dT%H%M%S}{f'.{rest_ms:03d}' if rest_ms else ''}Z"


def name_of(job_id: str) -> str | None:
    """Return the name of the schedule whose fire time has this job id, or None if it is no such id."""
    match = _FIRE_ID.fullmatch(job_id)
    return match[1] if match and not match[3] else None


_FIRE_ID = re.compile(message.FIRE_ID_PATTERN)


def _interval_times(schedule: Schedule, after_ms: int, anchor_ms: int) -> Iterator[int]:
    assert schedule.every_s is not None
    every_ms = round(schedule.every_s * 1000)
    if schedule.anchor_at is not None:
        anchor_ms = round(schedule.anchor_at.timestamp() * 1000)
    time_ms = anchor_ms + ((after_ms - anchor_ms) // every_ms + 1) * every_ms
    while time_ms <= message.MAX_TIME_MS:
        yield time_ms
        time_ms += every_ms


@lru_cache(maxsize=1024)
def _cron(text: str, timezone: str) -> Cron:
    return Cron(text, zone(timezone))
