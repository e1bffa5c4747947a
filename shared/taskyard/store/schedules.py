"""What every store promises of schedules: small documents, each changed by one writer at a time."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from taskyard.store.pages import Cursor


class StoredSchedule(Struct, frozen=True, array_like=True):
    """A schedule as the store keeps it; what is in `spec` and `state` is not the store's business."""

    name: str
    #: JSON of what was asked for.
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


class ScheduleStore(Protocol):
    """Schedules and their histories; part of `JobStore`, whose text holds here too."""

    def now_ms(self) -> int:
        """Return the store's clock, in milliseconds since 1970."""

    def schedules(self, cursor: Cursor | None = None) -> tuple[list[StoredSchedule], Cursor | None]:
        """Return schedules by name, and where to go on; None: that was all.

        A page has `PAGE_BYTES` at most, but for a single one.
        """

    def schedule(self, name: str) -> StoredSchedule | None:
        """Return a schedule, or None if there is none of this name."""

    def write_schedule(self, change: ScheduleWrite) -> bool:
        """Make a change, unless another was made since the schedule was read: then do nothing, answer False.

        A call whose answer was lost may be repeated: it answers False, and reading tells what holds.
        """

    def remove_schedule(self, name: str, revision: int) -> bool:
        """Forget a schedule and its history; False if it was changed since it was read, or is gone."""

    def due_schedules(self, limit: int) -> DueSchedules:
        """Return schedules that are due, the longest due first; they stay so until they are written."""

    def schedule_events(self, name: str, limit: int) -> list[str]:
        """Return the last events of a schedule's history, newest first."""
