"""Facts about one job on Redis: one script call, and a few bounded ones where more is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from taskyard.errors import StoreFault
from taskyard.store.controls import Limits
from taskyard.store.explaining import (
    AHEAD_LIMIT,
    NAMED,
    PACE_STEPS,
    Ahead,
    Holder,
    Interval,
    JobFacts,
    LimitFacts,
    Lock,
    Risen,
    Run,
)
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.reading import job_of
from taskyard.store.redis.rows import bytes_of
from taskyard.store.redis.scripts import RedisScripts

#: Ready jobs that one script call looks at: about a millisecond in which Redis serves nobody else.
STEP = 1_000
#: Running jobs that are looked at to find those that run longest.
OCCUPANTS_LIMIT = 1_000


class _Limit(msgspec.Struct, array_like=True):
    holding: int
    coming: int
    holders: list[Holder]
    oldest_start_ms: int
    place: int
    held_back: int
    limits: str


class _Facts(msgspec.Struct, array_like=True):
    """What `explain.lua` answers."""

    now_ms: int = 0
    record: list[msgspec.Raw] = []
    queue_pause: str = ""
    task_pause: str = ""
    unconfirmed_since: int = -1
    ready_since: int = -1
    ready: int = 0
    lease_ends_at: int = -1
    limit: list[Any] = []
    lock: list[Any] = []
    pace: list[int] = []
    queue_pauses: list[str] = []
    is_unheard: bool = False
    suspects_before: int = 0


class RedisExplaining(RedisScripts):
    """The part of `RedisStore` that reads the facts about one job at one moment."""

    def explain(self, job_id: str) -> JobFacts | None:
        try:
            found = self._found(job_id)
            return _facts(found) if found.record else None
        except (StoreFault, ValueError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
            raise StoreFault(
                f"job {job_id!r} cannot be explained: its record, or what it waits for, is damaged: {why}"
            ) from error

    @guarded
    def _found(self, job_id: str) -> _Facts:
        return self.run("explain", (job_id, PACE_STEPS, NAMED), _Facts)

    @guarded
    def ahead(self, facts: JobFacts) -> Ahead:
        if facts.ready_since is None:
            return Ahead(count=0, is_complete=True)
        job = facts.job
        stands = facts.risen or Risen(job.message.priority, facts.ready_since)
        its_own = (job.queue, job.id, stands.priority, stands.since)
        count = 0
        for start in range(0, AHEAD_LIMIT, STEP):
            found, is_end = self.run("ahead", (*its_own, start, STEP), tuple[int, bool])
            count += found
            if is_end:
                return Ahead(count=count, is_complete=True)
        return Ahead(count=count, is_complete=False)

    @guarded
    def occupants(self, owners: Sequence[str]) -> list[Holder]:
        return self.run("occupants", (owners, OCCUPANTS_LIMIT, NAMED), list[Holder])


def _facts(found: _Facts) -> JobFacts:
    parts = [bytes_of(each) for each in found.record]
    record = dict(zip(parts[::2], parts[1::2], strict=True))

    def number(field: bytes) -> int | None:
        return int(record[field]) if field in record else None

    return JobFacts(
        now_ms=found.now_ms,
        job=job_of(record),
        runs=sorted(_runs(record), key=lambda run: run.number),
        intervals=list(_intervals(record.get(b"gaps", b"").decode())),
        first_run_at=number(b"first_run_at"),
        held_at=number(b"held_at"),
        parked_at=number(b"parked_at"),
        replaced_by=record[b"replaced_by"].decode() if b"replaced_by" in record else None,
        queue_pause=_document(found.queue_pause),
        task_pause=_document(found.task_pause),
        unconfirmed_since=_time(found.unconfirmed_since),
        ready_since=_time(found.ready_since),
        ready=found.ready,
        risen=_risen(record),
        lease_ends_at=_time(found.lease_ends_at),
        limit=_limit(found.limit, record.get(b"limit", b"").decode()),
        lock=msgspec.convert(found.lock, Lock) if found.lock else None,
        pace=found.pace,
        queue_pauses=[_pause(text, found.now_ms) for text in found.queue_pauses],
        is_unheard=found.is_unheard,
        suspects_before=found.suspects_before,
    )


def _risen(record: dict[bytes, bytes]) -> Risen | None:
    attempt, priority, since = record.get(b"raised", b"0:0:0").rstrip(b"?").split(b":")
    is_of_next = record[b"state"] == b"pending" and int(attempt) == int(record[b"attempt"]) + 1
    return Risen(int(priority), int(since)) if is_of_next else None


def _runs(record: dict[bytes, bytes]) -> Iterator[Run]:
    for field, text in record.items():
        if field.startswith(b"a:"):
            yield _run.decode(text)


def _intervals(text: str) -> Iterator[Interval]:
    for part in text.split(";"):
        kind, _, times = part.partition(":")
        if times:
            from_ms, _, to_ms = times.partition(":")
            yield msgspec.convert((kind, int(from_ms), int(to_ms)), Interval)


def _pause(text: str, now_ms: int) -> tuple[int, int]:
    from_ms, _, to_ms = text.partition(":")
    return int(from_ms), int(to_ms or now_ms)


def _limit(row: list[Any], name: str) -> LimitFacts | None:
    if not row:
        return None
    found = msgspec.convert(row, _Limit)
    concurrency, starts, per_ms = map(int, found.limits.split("|"))
    return LimitFacts(
        key=name.partition("|")[2],
        limits=Limits(concurrency=concurrency, starts=starts, per_ms=per_ms),
        holding=found.holding,
        coming=found.coming,
        holders=found.holders,
        oldest_start_ms=found.oldest_start_ms,
        place=found.place,
        held_back=found.held_back,
    )


def _document(text: str) -> dict[str, Any] | None:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else None


def _time(time_ms: int) -> int | None:
    return None if time_ms < 0 else time_ms


_run = msgspec.json.Decoder(Run)
