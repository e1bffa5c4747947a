"""What an operator changes while jobs run: limits of tasks, and which tasks and queues are paused."""

from typing import Literal, NamedTuple

from msgspec import Struct

Kind = Literal["queue", "task"]
LimitKind = Literal["concurrency", "rate"]


class Limits(Struct, frozen=True, kw_only=True):
    """How much of a task may run; 0 is no limit. With a key, each of its values has limits of its own."""

    #: Jobs that run at a time, over all workers.
    concurrency: int = 0
    #: Jobs that start within any `per_ms` milliseconds.
    starts: int = 0
    per_ms: int = 0

    def __bool__(self) -> bool:
        return self.concurrency > 0 or self.starts > 0


class TaskLimits(NamedTuple):
    """Where the limits of a task come from: what an operator set wins over what workers declare."""

    #: None: nothing is set. Lifted limits are set, too.
    set: Limits | None
    declared: Limits
