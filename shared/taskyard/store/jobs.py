"""Jobs on their way through the store: recorded, handed over to be published, changed, cancelled, removed."""

from typing import Any, Literal

from msgspec import Struct

from taskyard.errors import InTheWay, StoreFault
from taskyard.job import State

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
    #: What identifies its submitter, who may learn its outcome: this queue, or this text that nobody else
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
    #: When the call reached the store, in milliseconds since 1970.
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


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; None stays as it is. A time that has passed is now."""

    run_at_ms: int | None = None
    #: Milliseconds from now.
    delay_ms: int | None = None
    priority: int | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None


class Changed(Struct, frozen=True, array_like=True):
    """What `change` did: `changed`, `too_late` (it does not wait: it is in `state`) or `unknown`."""

    verdict: Literal["changed", "too_late", "unknown"]
    state: str


class Removed(Struct, frozen=True, array_like=True):
    """What `remove` did: `removed`, `too_early` (see `JobStore.remove`) or `unknown`."""

    id: str
    verdict: Literal["removed", "too_early", "unknown"]
    state: str


class Purged(Struct, frozen=True, array_like=True):
    """What one call of `purge` did."""

    cancelled: int
    left: int
    before_ms: int
