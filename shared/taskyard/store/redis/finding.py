"""Finding jobs on Redis: bounded looks along an index, a script call for a few hundred records at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

from taskyard.job import Job, State
from taskyard.store.finding import Count, Filter, Order, Page, Position
from taskyard.store.redis.reading import RedisReading
from taskyard.store.redis.scripts import guarded

#: Records that one script call looks at: about two milliseconds in which Redis serves nobody else.
STEP = 500
#: Records that are read at a time, with their messages.
TAKE = 200
#: Records that one call looks at.
FIND_LIMIT = 2_000
COUNT_LIMIT = 10_000
_INDEX: dict[Order, str] = {"created": "jobs", "run_at": "waiting"}
_START = Position(0, "")

#: Where those are that one script call found, the last that it looked at, and whether that was the end.
_Step = tuple[list[Position], Position, bool]


class RedisFinding(RedisReading):
    """Looks along an index, from a position on."""

    @guarded
    def find(
        self,
        wanted: Filter,
        *,
        cursor: str | None = None,
        limit: int = 50,
        order: Order = "created",
    ) -> Page:
        last = _START if cursor is None else Position.of(cursor, order)
        if wanted.states == (State.RUNNING,) and order == "created":
            return self._running(wanted, last, limit)
        jobs: list[Job] = []
        take = TAKE if wanted.is_deep else min(limit, TAKE)
        for places, looked_to, is_end in self._steps(
            wanted, order, last, looks=FIND_LIMIT, take=take
        ):
            for job, at in self._fitting(places, wanted):
                if len(jobs) == limit:
                    return Page(jobs=jobs, cursor=last.cursor(order))
                jobs.append(job)
                last = at
            last = looked_to
            if is_end:
                return Page(jobs=jobs, cursor=None)
            if len(jobs) == limit:
                break
        return Page(jobs=jobs, cursor=last.cursor(order))

    @guarded
    def count(self, wanted: Filter) -> Count:
        if wanted == Filter(states=wanted.states, queue=wanted.queue, queues=wanted.queues):
            return Count(count=self._counted(wanted), is_complete=True)
        number, is_end = 0, False
        take = TAKE if wanted.is_deep else STEP
        for step in self._steps(wanted, "created", _START, looks=COUNT_LIMIT, take=take):
            number += len(self._fitting(step[0], wanted) if wanted.is_deep else step[0])
            is_end = step[2]
        return Count(count=number, is_complete=is_end)

    def _running(self, wanted: Filter, last: Position, limit: int) -> Page:
        """Find those that run by what workers hold: no more than there are slots, whatever else is stored."""
        jobs = self.look(self.run("held", (), list[str]))
        fitting = {
            Position(job.created_at, job.id): job
            for job in jobs
            if job is not None and wanted.takes(job)
        }
        places = sorted((p for p in fitting if last == _START or p < last), reverse=True)
        cursor = places[limit - 1].cursor("created") if len(places) > limit else None
        chosen = places[:limit]
        return Page(jobs=[fitting[place] for place in chosen], cursor=cursor)

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

    def _steps(
        self, wanted: Filter, order: Order, position: Position, *, looks: int, take: int
    ) -> Iterator[_Step]:
        """Give places of those that may fit, by at most `take`, until the end or after so many `looks`."""
        looked, is_end = 0, False
        while not is_end and looked < looks:
            args = (*_INDEX_ARGS[order], *position, *_bounds(wanted), STEP, take)
            asked = (
                *args,
                wanted.states,
                wanted.queue,
                wanted.task,
                wanted.queues,
                wanted.tasks,
            )
            rows, number, score, job_id, is_end = self.run(
                "find", asked, tuple[list[tuple[str, int]], int, int, str, bool]
            )
            position, looked = Position(score, job_id), looked + number
            yield [Position(score, job_id) for job_id, score in rows], position, is_end

    def _fitting(self, places: Sequence[Position], wanted: Filter) -> list[tuple[Job, Position]]:
        """Return the jobs at these places that fit; they may have changed since they were found."""
        jobs = self.look([place.id for place in places])
        return [
            (job, place)
            for job, place in zip(jobs, places, strict=True)
            if job is not None and wanted.takes(job)
        ]


_INDEX_ARGS = {order: (name, order == "run_at") for order, name in _INDEX.items()}


def _bounds(wanted: Filter) -> tuple[int | None, int | None]:
    return wanted.created_after_ms, wanted.created_before_ms
