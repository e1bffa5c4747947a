"""Jobs as they are kept in Redis, and read from there."""

from collections.abc import Sequence

import msgspec

from taskyard.errors import StoreFault
from taskyard.job import FIRST_KEPT, LATEST_KEPT, Attempt, Job, Progress, State
from taskyard.message import decode
from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisReading(RedisScripts):
    """Reads jobs by their ids."""

    @guarded
    def get(self, ids: Sequence[str]) -> list[Job | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(f"{self._prefix}j:{job_id}")
        records = pipeline.execute()
        return [
            _read(job_id, record) if record else None
            for job_id, record in zip(ids, records, strict=True)
        ]


_attempt = msgspec.json.Decoder(Attempt)
_progress = msgspec.json.Decoder(Progress)


def _read(job_id: str, record: dict[bytes, bytes]) -> Job:
    try:
        return job_of(record)
    except (ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        raise StoreFault(f"the record of job {job_id!r} cannot be read: {why}") from error


def job_of(record: dict[bytes, bytes]) -> Job:
    """Return the job in a record (`HGETALL`)."""

    def number(field: bytes) -> int | None:
        return int(record[field]) if field in record else None

    state = State(record[b"state"].decode())
    attempts = [_attempt.decode(record[b"a:%d" % number]) for number in _kept(record)]
    if state is State.RUNNING:
        attempts.append(
            Attempt(
                number=int(record[b"attempt"]),
                worker=record[b"worker"].decode(),
                started_at=int(record[b"started_at"]),
                finished_at=None,
                outcome="running",
            )
        )
    return Job(
        message=decode(record[b"body"]),
        queue=record[b"queue"].decode(),
        state=state,
        attempt=int(record[b"attempt"]),
        created_at=int(record[b"created_at"]),
        run_at=number(b"run_at"),
        started_at=number(b"started_at"),
        finished_at=number(b"finished_at"),
        progress=_progress.decode(record[b"progress"]) if b"progress" in record else None,
        result=msgspec.Raw(record[b"result"]) if b"result" in record else None,
        attempts=attempts,
        cancel_requested=b"cancel" in record,
        crashes=number(b"crashes") or 0,
        reason=record[b"reason"].decode() if b"reason" in record else None,
    )


def _kept(record: dict[bytes, bytes]) -> list[int]:
    """Return the numbers of the attempts that are kept: earlier versions have left more of them."""
    numbers = sorted(int(field[2:]) for field in record if field.startswith(b"a:"))
    latest = numbers[-1] if numbers else 0
    return [n for n in numbers if n <= FIRST_KEPT or n > latest - LATEST_KEPT]
