"""`JobStore`: what every state store promises. `tests/contract/` holds each implementation to it.

Every method is atomic, may be called by any number of processes at once, takes and gives lists
(one job is a list of one), uses the store's own clock, and raises `StoreUnavailable` when the store
does not answer within its deadline. A call that failed so may have been carried out: all of them may be
repeated with the same arguments. What a store repeats by itself, after its connection broke, answers as if it
had been made once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from taskyard.errors import InTheWay, StoreFault
from taskyard.job import Job, State
from taskyard.store.aging import AgingStore
from taskyard.store.attempts import AttemptStore
from taskyard.store.audit import AuditStore
from taskyard.store.audit_log import AuditLogStore
from taskyard.store.controls import ControlStore, Limits
from taskyard.store.dead_letters import DeadLetterStore
from taskyard.store.events import EventStore
from taskyard.store.explaining import ExplainStore
from taskyard.store.finding import FindingStore
from taskyard.store.idempotency import IdempotencyStore
from taskyard.store.keys import KeyStore
from taskyard.store.outages import OutageStore
from taskyard.store.removal import RemovalStore
from taskyard.store.replays import ReplayStore
from taskyard.store.replies import ReplyStore
from taskyard.store.schedules import ScheduleStore
from taskyard.store.vitals import VitalsStore
from taskyard.store.waiting import WaitingStore

UniquePolicy = Literal["existing", "reject", "replace"]


class Unique(Struct, frozen=True, kw_only=True):
    """A lock that a job has until it ends, or for `lock_ms` if it lives longer; and who yields to whom."""

    lock: str
    lock_ms: int
    policy: UniquePolicy


class Reach(Struct, frozen=True, array_like=True):
    """The jobs that somebody may know of and act on: those of these tasks in these queues; empty: of all."""

    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    def has(self, task: str, queue: str) -> bool:
        """Return whether jobs of this task in this queue are among them."""
        return task in (self.tasks or (task,)) and queue in (self.queues or (queue,))


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to record. It is scheduled if its time is in the future, else pending."""

    id: str
    task: str
    queue: str
    priority: int
    #: The message for its first attempt (or, for an adopted job, the one that was found).
    body: str
    #: Milliseconds from now, or None.
    delay_ms: int | None = None
    #: Milliseconds since 1970, or None.
    run_at_ms: int | None = None
    #: Attempts made before, where a lost record is rebuilt from a message.
    attempts_made: int = 0
    #: When it was submitted, in milliseconds since 1970; None means now.
    created_at_ms: int | None = None
    #: What at most one living job has at a time; None: any number may be alike.
    unique: Unique | None = None
    #: The trace context that the message has, for its header.
    traceparent: str | None = None
    #: What may be found in its place, or replaced by it; None: any job.
    reach: Reach | None = None
    #: By what its submitter is known, who may be told its outcome: this queue, or this text that nobody else
    #: knows. Empty: by nothing.
    reply_to: str = ""
    correlation_id: str = ""


class Created(Struct, frozen=True, array_like=True):
    """What `create` did with one job."""

    id: str
    #: False: a job of this id was there before and is left; or `id` is now that of the one with its lock.
    is_new: bool
    state: State
    #: Of a new one: when it was submitted, and when it is to run or 0, in milliseconds since 1970.
    created_at_ms: int = 0
    run_at_ms: int = 0
    #: It was refused: the living job `id` has its lock, and its policy is to reject.
    is_rejected: bool = False
    #: When the store was asked, in milliseconds since 1970.
    recorded_at_ms: int = 0
    #: Another has to be cancelled once this one is safe; see `replace`.
    replaces: bool = False
    #: Of one that was there and is pending: nobody may be promised it yet; see `unconfirmed`.
    is_unconfirmed: bool = False


#: What became of one job that was to be recorded.
Recorded = Created | StoreFault | InTheWay


class Ready(Struct, frozen=True, array_like=True):
    """A pending job whose message has to be published."""

    id: str
    queue: str
    body: str
    #: Number of the attempt that the message starts.
    attempt: int
    #: When it was due (`take_due`) or recorded, and now: milliseconds since 1970.
    due_at_ms: int
    now_ms: int
    #: It has to take the place of another once its message is confirmed; see `replace`.
    replaces: bool = False
    #: The priority that it has risen to by waiting; -1: it has its own.
    raised_to: int = -1
    #: No worker that has looked at it knew its task, and this is for another look.
    is_parked: bool = False


class Cancelled(Struct, frozen=True, array_like=True):
    """What `cancel` did: `cancelled`, `requested` (it runs), `too_late` or `unknown`."""

    id: str
    verdict: Literal["cancelled", "requested", "too_late", "unknown"]
    state: str


class QueueCounts(Struct, frozen=True, kw_only=True):
    """Jobs of one queue by state, and the age of its oldest pending job."""

    queue: str
    states: dict[str, int]
    oldest_pending_s: float | None


class JobStore(
    AttemptStore,
    ControlStore,
    ScheduleStore,
    DeadLetterStore,
    ReplayStore,
    FindingStore,
    WaitingStore,
    AuditStore,
    AuditLogStore,
    EventStore,
    IdempotencyStore,
    KeyStore,
    RemovalStore,
    OutageStore,
    ReplyStore,
    VitalsStore,
    ExplainStore,
    AgingStore,
    Protocol,
):
    """The state store; see the module's text for what holds for every method."""

    def create(self, jobs: Sequence[NewJob]) -> list[Recorded]:
        """Record jobs, each by itself; idempotent by id. A pending one stays in the outbox until published.

        The answer is a `StoreFault` where a record is damaged that is in its way, and `InTheWay` where a job
        out of its reach has its id or its lock; then nothing is recorded, and that job stays as it is.
        """

    def withdraw(self, ids: Sequence[str], *, published: Sequence[str] = ()) -> list[str]:
        """Forget jobs that have never started: their submission has failed. Return those that stay.

        One that an attempt has begun of stays, wherever it is by now. So does one that was created again,
        retried or changed meanwhile: another caller was told that it is there. And so does one that has
        replaced another: without it nothing of the two would run. Of one that is forgotten a message may be
        on its way: its claim is answered `cancelled`, unless the job is created anew, until the message must
        have come.

        Args:
            ids: The jobs.
            published: Those of them that the caller may have sent a message of. What others have sent, as of
                a job that has come due, the store knows.
        """

    def replace(self, ids: Sequence[str]) -> None:
        """Cancel those whose places these new jobs take: they are safe now, and will not be withdrawn.

        A claim does the same. Of several new ones at a time, the one that was recorded last stays.
        """

    def mark_published(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Take jobs out of the outbox: the broker has confirmed their messages.

        Args:
            jobs: Each with the time at which it was recorded, or handed over to be published, in milliseconds
                since 1970. One that came into the outbox later stays: that is about another message.
        """

    def take_due(self, limit: int) -> tuple[list[Ready], int | None]:
        """Move due waiting jobs to pending; also give the milliseconds until the next is due.

        There may be fewer than `limit` though more are due: their messages take some megabytes at most.
        """

    def unpublished(self, older_than_ms: int, limit: int) -> list[Ready]:
        """Give pending jobs that are in the outbox for so long, and start their time anew.

        There may be fewer than `limit` though there are more: their messages take some megabytes at most.
        """

    def unconfirmed(self, ids: Sequence[str]) -> list[Ready]:
        """Return those of these jobs that are pending and in the outbox, and leave them there.

        Whoever recorded them is about to publish them, or died, or was not told that they are recorded.
        """

    def get(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs, None where there is none of this id.

        Raises:
            StoreFault: If the record of one is damaged.
        """

    def look(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs as `get`, to be shown: of a damaged record what it is about, or None."""

    def wait(self, job_id: str, timeout_s: float) -> Job | None:
        """Return the job once it is in a terminal state, or as it is after `timeout_s`."""

    def cancel(self, ids: Sequence[str], ttl_ms: int) -> list[Cancelled]:
        """Cancel jobs: at once if they do not run, else by asking their worker."""

    def prune(self, limit: int) -> int:
        """Remove at most `limit` records whose time to be kept is over; return how many."""

    def counts(self) -> list[QueueCounts]:
        """Return the jobs of every queue by state."""

    def declare(
        self,
        tasks: Sequence[dict[str, Any]],
        queues: Sequence[str],
        limits: Mapping[str, Limits] | None = None,
        *,
        lapse_s: float = 15.0,
    ) -> None:
        """Put a worker's tasks (documents with a `name`), their limits and queues into the catalogue.

        Where workers tell different things of a task, that holds which was told for the first time last: the
        one of the latest deploy. It gives way to others when nobody has told it for `lapse_s`.
        """

    def tasks(self) -> list[dict[str, Any]]:
        """Return the documents of all tasks in the catalogue, by name."""

    def queues(self) -> list[str]:
        """Return the names of all queues in the catalogue, sorted."""

    def workers(self) -> list[dict[str, Any]]:
        """Return the worker documents, each with `is_alive`, `last_seen_at` and `running`."""

    def secret(self, offered: bytes) -> bytes:
        """Return the secret of this installation; `offered` becomes it where there is none."""

    def check(self) -> list[str]:
        """Return what is unsafe about the server's settings, a sentence each; empty if nothing.

        Raises:
            ConfigurationError: If the server would throw records away.
        """

    def ping(self) -> None:
        """Return if the store answers."""

    def close(self) -> None:
        """Close all connections; safe to call twice."""
