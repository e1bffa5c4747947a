"""Jobs as they are kept in Redis, and read from there."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from taskyard.errors import StoreFault
from taskyard.job import FIRST_KEPT, LATEST_KEPT, TERMINAL, Attempt, Job, Progress, State
from taskyard.message import Message, Options, decode, encode
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.scripts import RedisScripts


class RedisReading(RedisScripts):
    """Reads jobs by their ids."""

    @guarded
    def get(self, ids: Sequence[str]) -> list[Job | None]:
        records = zip(ids, self._pipeline(ids).execute(), strict=True)
        return [_read(job_id, record) if record else None for job_id, record in records]

    @guarded
    def look(self, ids: Sequence[str]) -> list[Job | None]:
        answers = self._pipeline(ids).execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                raise answer
        records = zip(ids, answers, strict=True)
        return [_seen(job_id, each) if isinstance(each, dict) else None for job_id, each in records]

    @guarded
    def wait(self, job_id: str, timeout_s: float) -> Job | None:
        deadline = time.monotonic() + timeout_s
        pubsub: Any = self._redis.pubsub(ignore_subscribe_messages=False)  # type: ignore[no-untyped-call]  # as in redis-py
        with pubsub:
            pubsub.subscribe(f"{self._prefix}done:{job_id}")
            pubsub.get_message(
                timeout=timeout_s
            )  # the subscription itself: from here on nothing is missed
            while True:
                (job,) = self.get([job_id])
                left_s = deadline - time.monotonic()
                if job is None or job.state in TERMINAL or left_s <= 0:
                    return job
                pubsub.get_message(timeout=min(left_s, RECHECK_S))

    def _pipeline(self, ids: Sequence[str]) -> Any:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hgetall(f"{self._prefix}j:{job_id}")
        return pipeline


#: A waiter looks again this often, in case the announcement was lost with its connection. Seconds.
RECHECK_S = 2.0
_attempt = msgspec.json.Decoder(Attempt)
_progress = msgspec.json.Decoder(Progress)
#: What tells of a job whose message, attempts or result cannot be read.
_NEEDED = frozenset(
    name.encode()
    for name in (
        *("task", "queue", "priority", "state", "attempt", "worker", "reason"),
        *("created_at", "run_at", "started_at", "finished_at"),
    )
)


def _read(job_id: str, record: dict[bytes, bytes]) -> Job:
    try:
        return job_of(record)
    except (ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        raise StoreFault(f"the record of job {job_id!r} cannot be read: {why}") from error


def _seen(job_id: str, record: dict[bytes, bytes]) -> Job | None:
    """Return the job in a record, without all that may be damaged if it cannot be read; None if even so."""
    try:
        return job_of(record)
    except (ValueError, KeyError):
        sound = {name: value for name, value in record.items() if name in _NEEDED}
    with suppress(ValueError, KeyError):
        message = Message(
            queue_name=sound[b"queue"].decode(),
            task=sound[b"task"].decode(),
            args=[],
            kwargs={},
            options=Options(priority=int(sound[b"priority"]), origin="unknown"),
            message_id=job_id,
            message_timestamp=int(sound[b"created_at"]),
        )
        sound[b"body"] = encode(message).encode()
        return replace(job_of(sound), is_readable=False)
    return None


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
