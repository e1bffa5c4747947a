"""A job as the store knows it, and the one document that shows it to people and programs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypedDict, overload

import msgspec
from msgspec import Meta, Struct

from taskyard.document_fields import Seconds, Time, Whole
from taskyard.message import ID_PATTERN, MAX_PRIORITY, Message


class State(StrEnum):
    """The states of a job; `docs/job-lifecycle.md` has the arrows between them."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: Every attempt is counted; of what is known of each, that of the first and of the latest is kept.
FIRST_KEPT = 5
LATEST_KEPT = 20

_UNREADABLE = "Null where the job's record is damaged and cannot be read."
#: The fields of a job's document that a submitter sees who may not read jobs.
STATE_FIELDS = ("id", "state", "links")
WAITING = frozenset({State.SCHEDULED, State.RETRYING})
TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})


class JobError(Struct, frozen=True):
    """Why an attempt did not complete; `reason` is one of the words of `docs/job-lifecycle.md`."""

    type: str
    message: str
    traceback: str = ""
    reason: str = "error"


class Attempt(Struct, frozen=True):
    """One run of a job; times in milliseconds since 1970, by the store's clock."""

    number: int
    worker: str
    started_at: int
    finished_at: int | None
    outcome: str
    error: JobError | None = None
    #: How its worker ended, of a lost attempt: `killed by SIGKILL`, `exit code 3`; None if nobody saw it.
    exit: str | None = None
    #: The most memory that the worker's process had, of a lost attempt, in MiB.
    peak_mib: float | None = None


class Progress(Struct, frozen=True):
    """How far a running task says it is."""

    done: float
    total: float | None = None
    note: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """What the store knows of a job; times in milliseconds since 1970, by the store's clock."""

    message: Message
    queue: str
    state: State
    attempt: int
    created_at: int
    run_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    progress: Progress | None = None
    #: JSON, as the task's worker wrote it.
    result: msgspec.Raw | None = None
    #: Those that are kept.
    attempts: list[Attempt] = []
    cancel_requested: bool = False
    #: Attempts that ended with the loss of a worker that ran nothing else.
    crashes: int = 0
    #: Why a waiting job waits, where it is not its own time: `unknown_task`, `limited`, `paused`,
    #: `suspect`; of a cancelled one `replaced`, where another like it took its place.
    reason: str | None = None
    #: False: the record is damaged, and this is no more than what it is about.
    is_readable: bool = True

    @property
    def id(self) -> str:
        """The job's id."""
        return self.message.message_id

    @property
    def error(self) -> JobError | None:
        """The error of the last attempt, while it is what the state is about."""
        if self.attempts and self.state in (State.FAILED, State.RETRYING, State.CANCELLED):
            return self.attempts[-1].error
        return None

    @property
    def attempts_omitted(self) -> int:
        """How many attempts are counted of which nothing else is kept."""
        return max(0, self.attempt - len(self.attempts))

    @property
    def expires_at(self) -> int | None:
        """The time past which the job may not start, or None."""
        expires_s = self.message.expires_s
        return None if expires_s is None else self.created_at + round(expires_s * 1000)


StateText = Annotated[str, Meta(extra_json_schema={"enum": [state.value for state in State]})]


class ErrorDocument(TypedDict):
    """Why an attempt did not complete."""

    type: str
    message: str
    traceback: str
    reason: str


class ProgressDocument(TypedDict):
    """How far a running task says it is."""

    done: float
    total: float | None
    note: str


class AttemptDocument(TypedDict):
    """One run of a job."""

    number: Annotated[int, Meta(ge=1)]
    worker: str
    started_at: Time
    finished_at: Time | None
    outcome: str
    error: ErrorDocument | None
    exit: str | None
    peak_mib: float | None


class JobLinks(TypedDict):
    """Where a job is."""

    self: str


class JobDocument(TypedDict):
    """A job as it is shown to people and programs."""

    id: Annotated[str, Meta(pattern=ID_PATTERN)]
    task: str
    queue: str
    state: StateText
    priority: Annotated[int, Meta(ge=0, le=MAX_PRIORITY)]
    origin: Annotated[str, Meta(description="The door it came through.", examples=["api"])]
    args: Annotated[list[Any] | None, Meta(description=_UNREADABLE)]
    kwargs: Annotated[dict[str, Any] | None, Meta(description=_UNREADABLE)]
    tags: list[str]
    trace_id: Annotated[
        str, Meta(pattern="^[0-9a-f]{32}$", description="Its trace, as in the logs.")
    ]
    attempt: Annotated[Whole, Meta(description="Number of the latest attempt; 0 before the first.")]
    crashes: Annotated[
        Whole,
        Meta(description="Attempts that ended with the loss of a worker that ran nothing else."),
    ]
    max_retries: Whole | None
    timeout_s: Seconds | None
    created_at: Time
    run_at: Time | None
    expires_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    progress: ProgressDocument | None
    cancel_requested: bool
    reason: Annotated[str | None, Meta(description="Why it waits, where that is not its own time.")]
    result: Annotated[Any, Meta(description="What the task returned; null until it completed.")]
    error: ErrorDocument | None
    attempts: Annotated[
        list[AttemptDocument],
        Meta(
            description=f"The first {FIRST_KEPT} and the latest {LATEST_KEPT} that ended, "
            "and the one that runs."
        ),
    ]
    attempts_omitted: Annotated[Whole, Meta(description="Attempts of which nothing else is kept.")]
    links: JobLinks


def document(job: Job) -> JobDocument:
    """Return the job document of `docs/protocol.md`: plain JSON values, times in RFC 3339.

    Of one that cannot be read `args` and `kwargs` are None.
    """
    message = job.message
    return {
        "id": job.id,
        "task": message.task,
        "queue": job.queue,
        "state": job.state.value,
        "priority": message.priority,
        "origin": message.options.origin,
        "args": message.args if job.is_readable else None,
        "kwargs": message.kwargs if job.is_readable else None,
        "tags": message.options.tags,
        "trace_id": message.trace_id,
        "attempt": job.attempt,
        "crashes": job.crashes,
        "max_retries": message.options.max_retries,
        "timeout_s": message.timeout_s,
        "created_at": rfc3339(job.created_at),
        "run_at": rfc3339(job.run_at),
        "expires_at": rfc3339(job.expires_at),
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "progress": None if job.progress is None else msgspec.to_builtins(job.progress),
        "cancel_requested": job.cancel_requested,
        "reason": job.reason,
        "result": None if job.result is None else _result(job.result),
        "error": None if job.error is None else msgspec.to_builtins(job.error),
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "attempts_omitted": job.attempts_omitted,
        "links": {"self": f"/v1/jobs/{job.id}"},
    }


def _attempt(attempt: Attempt) -> AttemptDocument:
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "started_at": rfc3339(attempt.started_at),
        "finished_at": rfc3339(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": None if attempt.error is None else msgspec.to_builtins(attempt.error),
        "exit": attempt.exit,
        "peak_mib": attempt.peak_mib,
    }


def for_submitter(document: Mapping[str, Any], *, may_read: bool) -> Mapping[str, Any]:
    """Return what the submitter of a job is told of it: the one rule of all doors.

    Of a job that was there before, even one of their own, that is its state and nothing else.

    Args:
        document: The document of the job, which is within the submitter's reach.
        may_read: Whether they may read jobs, or have made this one by the very submission that is answered.
    """
    if may_read:
        return document
    return {name: document[name] for name in STATE_FIELDS}


def _result(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):  # of a damaged record; it keeps no other from being listed
        return None


@overload
def rfc3339(time_ms: int) -> str: ...
@overload
def rfc3339(time_ms: int | None) -> str | None: ...
def rfc3339(time_ms: int | None) -> str | None:
    """Return the time in UTC with milliseconds, such as `2026-11-24T10:00:00.123Z`; None for None."""
    if time_ms is None:
        return None
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
