"""What an operator changes while jobs run: limits of tasks, and which tasks and queues are paused."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple, Protocol

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


class ControlStore(Protocol):
    """Limits and pauses; each call takes effect for every worker with its next claim."""

    def set_limits(
        self, task: str, limits: Limits | None, *, keep: Collection[LimitKind] = ()
    ) -> None:
        """Set a task's limits; None takes back what was set, so that what workers declare holds.

        Those in `keep` stay as they are now, whoever changes them at the same time.
        """

    def limits_of(self, task: str) -> TaskLimits:
        """Return the limits of a task, those that are set and those that are declared."""

    def limits(self) -> dict[str, Limits]:
        """Return the limits that hold now, by task."""

    def pause(self, kind: Kind, name: str, document: Mapping[str, Any]) -> bool:
        """Let no job of a queue or task start; False if it is paused already, whose document stays.

        `document` says who paused it (`by`), when (`at`) and why (`reason`), for all who ask.
        """

    def resume(self, kind: Kind, name: str) -> bool:
        """Let jobs start again; False if it is not paused."""

    def pauses(self, kind: Kind) -> dict[str, dict[str, Any]]:
        """Return the documents of all paused queues or tasks, by name."""

    def await_due(self, timeout_s: float) -> None:
        """Return when jobs may have become due out of turn, or after `timeout_s`."""
