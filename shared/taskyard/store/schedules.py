"""What every store promises of schedules: small documents, each changed by one writer at a time."""

from collections.abc import Sequence

from msgspec import Struct


class StoredSchedule(Struct, frozen=True, array_like=True):
    """A schedule as the store keeps it; what is in `spec` and `state` is not the store's business."""

    name: str
    #: JSON of the rule.
    spec: str
    #: JSON of where it is: its last fire time, the next, and so on.
    state: str
    #: Counts the changes that people make.
    version: int
    #: Counts every change: who writes names the one that was read.
    revision: int


class ScheduleWrite(Struct, frozen=True, kw_only=True):
    """One change of one schedule."""

    name: str
    #: The revision that was read; 0: there is none of this name.
    revision: int
    spec: str
    state: str
    version: int
    #: When somebody has to look after it, in milliseconds since 1970; None: never.
    due_at_ms: int | None
    #: JSON of what happened, oldest first, for its history.
    events: Sequence[str] = ()


class DueSchedules(Struct, frozen=True, array_like=True):
    """The schedules that somebody has to look after now, and when to ask again."""

    schedules: list[StoredSchedule]
    #: The store's clock, in milliseconds since 1970.
    now_ms: int
    #: Milliseconds until the next one that is not due yet; -1: there is none.
    next_due_ms: int
