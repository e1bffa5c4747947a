"""What the store knows of one job, for `explain`: facts of one moment; what they mean is said elsewhere."""

from typing import Any, Literal

from msgspec import Struct

from taskyard.job import Job
from taskyard.store.controls import Limits

#: The starts of a queue are counted in steps of so many seconds …
PACE_STEP_S = 10
#: … and so many of the latest steps are returned, the one that has just begun last.
PACE_STEPS = 31
#: So many of those that hold a limit or a slot are named.
NAMED = 10
#: Most ready jobs that are searched to count those ahead.
AHEAD_LIMIT = 10_000

IntervalKind = Literal["limited", "paused", "parked", "handed_back", "ended"]


class Interval(Struct, frozen=True, array_like=True):
    """A time of a job's life that is over, in milliseconds since 1970."""

    kind: IntervalKind
    from_ms: int
    to_ms: int


class Run(Struct, frozen=True, kw_only=True):
    """One attempt that has ended, as far as its times go: milliseconds since 1970."""

    number: int
    started_at: int
    finished_at: int
    outcome: str
    #: When the next was to begin, of one that was retried.
    retry_at: int | None = None
    #: Of a lost one: how long it certainly ran, in milliseconds.
    ran_ms: int | None = None


class Holder(Struct, frozen=True, array_like=True):
    """A job that has something which another one waits for."""

    id: str
    task: str
    state: str
    #: When its latest attempt started, in milliseconds since 1970; 0 before the first.
    started_at: int


class LimitFacts(Struct, frozen=True, kw_only=True):
    """How it is with the limit that a job is held back by or has a slot of."""

    #: The value of the task's key; empty where the task has none.
    key: str
    limits: Limits
    #: Jobs that have a slot, those counted that were let go and have not started; and some of them.
    holding: int
    coming: int
    holders: list[Holder]
    #: The start that has to leave the window before the next may start, in milliseconds since 1970; 0: none.
    oldest_start_ms: int
    #: How many of those that are held back come before this one, and how many there are.
    place: int
    held_back: int


class Risen(Struct, frozen=True, array_like=True):
    """What a ready job has risen to by waiting, and since when it has that: milliseconds since 1970."""

    priority: int
    since: int


class Lock(Struct, frozen=True, array_like=True):
    """The lock of a unique job: who has it, and for how long yet at most."""

    holder: str
    left_ms: int


class JobFacts(Struct, frozen=True, kw_only=True):
    """All that the store knows of one job at one moment; times in milliseconds since 1970."""

    now_ms: int
    job: Job
    runs: list[Run]
    intervals: list[Interval]
    first_run_at: int | None
    #: Since when it is held back by a limit or a pause, or parked.
    held_at: int | None
    parked_at: int | None
    #: The job that replaced it.
    replaced_by: str | None
    #: The documents of the pauses of its queue and its task.
    queue_pause: dict[str, Any] | None
    task_pause: dict[str, Any] | None
    #: Since when it waits for its message to be confirmed, if it does.
    unconfirmed_since: int | None
    #: Since when it is among the ready ones, if it is.
    ready_since: int | None
    #: Ready jobs of its queue.
    ready: int
    #: Of a ready one that stands above its own priority.
    risen: Risen | None = None
    #: When the lease of the worker that runs it ends.
    lease_ends_at: int | None
    limit: LimitFacts | None
    lock: Lock | None
    #: Attempts of its queue that started, in steps of `PACE_STEP_S`, the latest last.
    pace: list[int]
    #: When its queue was paused and resumed (now, if it still is), the latest hundred times.
    queue_pauses: list[tuple[int, int]]
    #: It is said to run on a worker that had given up its claim before that was granted.
    is_unheard: bool = False
    #: Of a suspect: those of its queue that are tried alone before it.
    suspects_before: int = 0


class Ahead(Struct, frozen=True, kw_only=True):
    """Ready jobs that come before one: of a higher priority now, or of the same for longer."""

    count: int
    #: False: there are at least so many.
    is_complete: bool
