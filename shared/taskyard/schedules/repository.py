"""Schedules in the store: looked up, and changed by one writer at a time."""

import logging
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from taskyard.errors import (
    ScheduleDeclared,
    ScheduleExists,
    ScheduleNotFound,
    StoreUnavailable,
    VersionMismatch,
)
from taskyard.schedules.plan import (
    FireEvent,
    ScheduleState,
    decode_event,
    due_at,
    encode,
    started,
)
from taskyard.schedules.record import ScheduleRecord
from taskyard.schedules.rule import Schedule
from taskyard.store import JobStore
from taskyard.store.finding import Cursor
from taskyard.store.jobs import Reach
from taskyard.store.schedules import ScheduleWrite

logger = logging.getLogger(__name__)

#: Who changes a schedule tries again this often when another was faster.
TRIES = 20

#: Whether a change may be made to this version; None stands for a schedule that is not there.
Accepts = Callable[[int | None], bool]


class ScheduleRepository:
    """The schedules of a store.

    Args:
        store: Where they are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def all(self) -> Iterator[ScheduleRecord]:
        """Give all schedules that can be read, by name."""
        page, cursor = self.page()
        yield from page
        while cursor is not None:
            page, cursor = self.page(cursor)
            yield from page

    def page(self, cursor: Cursor | None = None) -> tuple[list[ScheduleRecord], Cursor | None]:
        """Return some of the schedules that can be read, by name, and where to go on; None: that was all."""
        rows, following = self._store.schedules(cursor)
        found = []
        for row in rows:
            try:
                found.append(ScheduleRecord.from_row(row))
            except ValueError as error:
                logger.error("%s", error, extra={"schedule": row.name})
        return found, following

    def get(self, name: str) -> ScheduleRecord:
        """Return a schedule.

        Raises:
            ScheduleNotFound: If there is none of this name.
        """
        row = self._store.schedule(name)
        if row is None:
            raise ScheduleNotFound(name)
        return ScheduleRecord.from_row(row)

    def create(self, schedule: Schedule, *, reach: Reach | None = None) -> ScheduleRecord:
        """Add a schedule.

        Raises:
            ScheduleExists: If there is one of this name.
        """

        def only_new(version: int | None) -> bool:
            if version is not None:
                raise ScheduleExists(schedule.name)
            return True

        return self.put(schedule, accepts=only_new, reach=reach)

    def put(
        self,
        schedule: Schedule,
        *,
        accepts: Accepts | None = None,
        is_declared: bool = False,
        reach: Reach | None = None,
    ) -> ScheduleRecord:
        """Add a schedule, or replace the one of its name.

        Fire times start anew from now if those of the new one are others; its history stays.

        Args:
            schedule: The schedule.
            accepts: Says whether the version that is there may be replaced.
            is_declared: Whether it comes from the file of declared schedules.
            reach: What who writes it reaches; None: all.

        Raises:
            VersionMismatch: If it may not.
            ScheduleDeclared: If the one that is there is declared, and this one is not.
        """

        def change(row: ScheduleRecord | None, now_ms: int) -> ScheduleRecord:
            version = None if row is None else row.version
            if accepts is not None and not accepts(version):
                raise VersionMismatch(schedule.name, version)
            if row is None:
                return _new(schedule, now_ms, is_declared=is_declared, reach=reach)
            if row.state.is_declared and not is_declared:
                raise ScheduleDeclared(schedule.name)
            return _replaced(row, schedule, now_ms, is_declared=is_declared, reach=reach)

        return self._change(schedule.name, change)

    def set_paused(self, name: str, is_paused: bool) -> ScheduleRecord:
        """Pause or resume a schedule; what passes meanwhile is not missed, but left out.

        Raises:
            ScheduleNotFound: If there is none of this name.
        """

        def change(row: ScheduleRecord | None, now_ms: int) -> ScheduleRecord:
            if row is None:
                raise ScheduleNotFound(name)
            if row.state.is_paused == is_paused:
                return row
            state = replace(row.state, is_paused=is_paused, updated_at=now_ms)
            state = started(row.schedule, state, now_ms)
            return replace(row, state=state, version=row.version + 1)

        return self._change(name, change)

    def add_event(self, name: str, event: FireEvent) -> None:
        """Add an entry to a schedule's history, if it is still there."""

        def change(row: ScheduleRecord | None, _now_ms: int) -> ScheduleRecord:
            if row is None:
                raise ScheduleNotFound(name)
            return row

        self._change(name, change, [event])

    def remove(self, name: str, *, accepts: Accepts | None = None) -> None:
        """Forget a schedule and its history; its jobs stay.

        Raises:
            ScheduleNotFound: If there is none of this name.
            ScheduleDeclared: If it is declared.
            VersionMismatch: If `accepts` does not accept its version.
        """
        for _ in range(TRIES):
            row = self.get(name)
            if accepts is not None and not accepts(row.version):
                raise VersionMismatch(name, row.version)
            if row.state.is_declared:
                raise ScheduleDeclared(name)
            if self._store.remove_schedule(name, row.revision):
                return
        raise _contended(name)

    def synchronise(self, declared: Sequence[Schedule]) -> None:
        """Make the declared schedules these: add and replace them, remove those that are no more."""
        there = {row.name: row for row in self.all()}
        for schedule in declared:
            row = there.get(schedule.name)
            if row is None or not row.state.is_declared or row.schedule != schedule:
                self.put(schedule, is_declared=True)
        names = {schedule.name for schedule in declared}
        for row in there.values():
            if row.state.is_declared and row.name not in names:
                # Where it was changed since, a fire is being written: the next start removes it.
                self._store.remove_schedule(row.name, row.revision)

    def history(self, name: str, limit: int) -> list[FireEvent]:
        """Return what happened to its last fire times, newest first.

        Raises:
            ScheduleNotFound: If there is no schedule of this name.
        """
        self.get(name)
        return [decode_event(text) for text in self._store.schedule_events(name, limit)]

    def write(
        self, row: ScheduleRecord, now_ms: int, events: Sequence[FireEvent] = ()
    ) -> ScheduleRecord | None:
        """Write a changed schedule; return it as it is then, or None if another was faster."""
        change = ScheduleWrite(
            name=row.name,
            revision=row.revision,
            spec=encode(row.schedule.model_dump(mode="json")),
            state=encode(row.state),
            version=row.version,
            due_at_ms=due_at(row.schedule, row.state, now_ms),
            events=[encode(event) for event in events],
        )
        if not self._store.write_schedule(change):
            return None
        return replace(row, revision=row.revision + 1)

    def _change(
        self,
        name: str,
        change: Callable[[ScheduleRecord | None, int], ScheduleRecord],
        events: Sequence[FireEvent] = (),
    ) -> ScheduleRecord:
        for _ in range(TRIES):
            row = self._store.schedule(name)
            now_ms = self._store.now_ms()
            changed = change(None if row is None else ScheduleRecord.from_row(row), now_ms)
            if (written := self.write(changed, now_ms, events)) is not None:
                return written
        raise _contended(name)


def _new(
    schedule: Schedule, now_ms: int, *, is_declared: bool, reach: Reach | None
) -> ScheduleRecord:
    state = ScheduleState(
        created_at=now_ms,
        updated_at=now_ms,
        cursor=now_ms,
        is_paused=schedule.is_paused,
        is_declared=is_declared,
        reach=reach,
    )
    state = started(schedule, state, now_ms)
    return ScheduleRecord(schedule=schedule, state=state, version=1, revision=0)


def _replaced(
    row: ScheduleRecord,
    schedule: Schedule,
    now_ms: int,
    *,
    is_declared: bool,
    reach: Reach | None,
) -> ScheduleRecord:
    # A declared one stays paused as somebody left it, until the file says something else.
    keeps_pause = is_declared and schedule.is_paused == row.schedule.is_paused
    is_paused = row.state.is_paused if keeps_pause else schedule.is_paused
    state = replace(
        row.state, is_paused=is_paused, is_declared=is_declared, updated_at=now_ms, reach=reach
    )
    if schedule.timing() != row.schedule.timing() or is_paused != row.state.is_paused:
        state = started(schedule, state, now_ms)
    return replace(row, schedule=schedule, state=state, version=row.version + 1)


def _contended(name: str) -> StoreUnavailable:
    return StoreUnavailable(f"schedule {name!r} is changed by others all the time; try again")
