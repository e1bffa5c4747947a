"""Finding jobs on Redis: bounded looks along an index, a script call for a few hundred records at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from taskyard.job import JobError, State
from taskyard.store.finding import (
    PAGE_BYTES,
    Compared,
    Count,
    Cursor,
    Filter,
    IdPage,
    Order,
)
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.reading import RedisReading
from taskyard.store.redis.rows import bytes_of

#: Records that one script call looks at: about two milliseconds in which Redis serves nobody else.
STEP = 500
#: Records that are compared at a time, and the bytes of their messages and errors.
TAKE = 200
COMPARE_BYTES = 1024 * 1024
#: Records that one call looks at, and the bytes that it compares.
FIND_LIMIT = 2_000
COUNT_LIMIT = 10_000
LOOK_BYTES = 64 * 1024 * 1024
_INDEX: dict[Order, str] = {"created": "jobs", "run_at": "waiting"}


class _Position(NamedTuple):
    """A job's place in the index, and its id."""

    score: int
    id: str


_START = _Position(0, "")

#: Where those are that one script call found, the last that it looked at, and whether that was the end.
_Step = tuple[list[_Position], _Position, bool]


class _Options(msgspec.Struct):
    tags: list[str] = []
    origin: str = "amqp"


class _Message(msgspec.Struct):
    """What filters go by of a message; the rest is skipped."""

    options: _Options


class _Ended(msgspec.Struct):
    """What filters go by of an attempt."""

    error: JobError | None = None


_message = msgspec.json.Decoder(_Message)
_ended = msgspec.json.Decoder(_Ended)


class RedisFinding(RedisReading):
    """Looks along an index, from a position on."""

    @guarded
    def find_ids(
        self,
        wanted: Filter,
        *,
        cursor: Cursor | None = None,
        limit: int = 50,
        order: Order = "created",
    ) -> IdPage:
        last = _START if cursor is None else _Position(*cursor)
        ids: list[str] = []
        page_bytes = looked_bytes = 0
        for places, looked_to, is_end in self._looks(wanted, order, last, limit):
            for place, job, cost_bytes in self._compared(places, wanted):
                looked_bytes += cost_bytes
                if job is not None and wanted.takes(job):
                    page_bytes += job.size_bytes
                    if len(ids) == limit or (ids and page_bytes > PAGE_BYTES):
                        return IdPage(ids=ids, cursor=last)
                    ids.append(place.id)
                last = place
                if looked_bytes > LOOK_BYTES:
                    return IdPage(ids=ids, cursor=last)
            last = looked_to
            if is_end:
                return IdPage(ids=ids, cursor=None)
            if len(ids) == limit:
                break
        return IdPage(ids=ids, cursor=last)

    @guarded
    def count(self, wanted: Filter) -> Count:
        if wanted == Filter(states=wanted.states, queue=wanted.queue, queues=wanted.queues):
            return Count(count=self._counted(wanted), is_complete=True)
        number, is_end, looked_bytes = 0, False, 0
        take = TAKE if wanted.is_deep else STEP
        for places, _, is_end in self._steps(
            wanted, "created", _START, looks=COUNT_LIMIT, take=take
        ):
            if not wanted.is_deep:
                number += len(places)
                continue
            for _, job, cost_bytes in self._compared(places, wanted):
                number += job is not None and wanted.takes(job)
                looked_bytes += cost_bytes
            if looked_bytes > LOOK_BYTES:
                return Count(count=number, is_complete=is_end)
        return Count(count=number, is_complete=is_end)

    def _counted(self, wanted: Filter) -> int:
        """Count by the numbers that are kept of every queue and state."""
        rows: Any = self._redis.hgetall(f"{self._prefix}counts")
        places = {field.decode().rpartition("|")[::2]: int(n) for field, n in rows.items()}
        return sum(
            number
            for (queue, state), number in places.items()
            if wanted.queue in ("", queue)
            and (not wanted.queues or queue in wanted.queues)
            and (not wanted.states or state in wanted.states)
        )

    def _looks(self, wanted: Filter, order: Order, last: _Position, limit: int) -> Iterator[_Step]:
        """Give places of those that may fit, from a position on."""
        if wanted.states == (State.RUNNING,) and order == "created":
            yield self._running(last), _START, True
        else:
            take = TAKE if wanted.is_deep else min(limit, TAKE)
            yield from self._steps(wanted, order, last, looks=FIND_LIMIT, take=take)

    def _running(self, last: _Position) -> list[_Position]:
        """Return those that workers hold: no more than there are slots, whatever else is stored."""
        ids = self.run("held", (), list[str])
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.zscore(f"{self._prefix}jobs", job_id)
        found = zip(pipeline.execute(), ids, strict=True)
        places = [_Position(int(score), job_id) for score, job_id in found if score is not None]
        return sorted((p for p in places if last == _START or p < last), reverse=True)

    def _steps(
        self, wanted: Filter, order: Order, position: _Position, *, looks: int, take: int
    ) -> Iterator[_Step]:
        """Give places of those that may fit, by at most `take`, until the end or after so many `looks`."""
        looked, is_end = 0, False
        while not is_end and looked < looks:
            args = (
                *_INDEX_ARGS[order],
                *position,
                *_bounds(wanted),
                STEP,
                take,
                wanted.states,
                wanted.queue,
                wanted.task,
                wanted.queues,
                wanted.tasks,
            )
            rows, number, score, job_id, is_end = self.run(
                "find", args, tuple[list[tuple[str, int]], int, int, str, bool]
            )
            position, looked = _Position(score, job_id), looked + number
            yield [_Position(score, job_id) for job_id, score in rows], position, is_end

    def _compared(
        self, places: Sequence[_Position], wanted: Filter
    ) -> Iterator[tuple[_Position, Compared | None, int]]:
        """Give what the filter goes by of the jobs at these places, and the bytes that were read for it.

        They may have changed, or be gone, since they were found.
        """
        is_by_message, is_by_error = bool(wanted.tag or wanted.origin), bool(wanted.error)
        while places:
            ids = [place.id for place in places[:TAKE]]
            args = (ids, is_by_message, is_by_error, COMPARE_BYTES)
            rows = self.run("compare", args, list[list[msgspec.Raw]])
            for place, row in zip(places, rows, strict=False):
                yield place, _read(row), sum(map(len, map(bytes, row)))
            places = places[len(rows) :]


_INDEX_ARGS = {order: (name, order == "run_at") for order, name in _INDEX.items()}


def _bounds(wanted: Filter) -> tuple[int | None, int | None]:
    return wanted.created_after_ms, wanted.created_before_ms


def _read(row: list[msgspec.Raw]) -> Compared | None:
    """Return what `compare.lua` answers of a job; what is damaged of it fits no filter."""
    if not row:
        return None
    state, queue, task = (bytes_of(each).decode(errors="replace") for each in row[:3])
    created_at_ms, size_bytes = (int(msgspec.msgpack.decode(each)) for each in row[3:5])
    body, attempt = bytes_of(row[5]), bytes_of(row[6])
    options, error = _Options(origin="unknown" if body else ""), None
    try:
        options = _message.decode(body).options if body else options
        error = _ended.decode(attempt).error if attempt else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return Compared(
        state=state,
        queue=queue,
        task=task,
        created_at_ms=created_at_ms,
        size_bytes=size_bytes,
        origin=options.origin,
        tags=options.tags,
        error=f"{error.type}: {error.message}" if error else "",
    )
