"""What the conformance suite says often: jobs to record, and jobs brought into a state."""

from itertools import count
from typing import Any

from taskyard.job import Job
from taskyard.message import Message, Options, encode, new_id
from taskyard.store import JobStore
from taskyard.store.attempts import Claim, Outcome, Verdict
from taskyard.store.controls import Limits
from taskyard.store.jobs import NewJob

HOUR_MS = 3_600_000
#: After every time that a test has to do with. Milliseconds since 1970.
LATER_MS = 2**52
QUEUE = "default"
_deploys = count()


def new_job(
    job_id: str | None = None,
    *,
    task: str = "add",
    queue: str = QUEUE,
    args: list[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    priority: int | None = None,
    tags: list[str] | None = None,
    **fields: Any,
) -> NewJob:
    """Return a job to record, with a message that says the same."""
    job_id = job_id or new_id()
    message = Message(
        queue_name=queue,
        task=task,
        args=args or [],
        kwargs=kwargs or {},
        options=Options(priority=priority, tags=tags or []),
        message_id=job_id,
        message_timestamp=0,
    )
    return NewJob(
        id=job_id,
        task=task,
        queue=queue,
        priority=5 if priority is None else priority,
        **{"body": encode(message), **fields},
    )


def pending(store: JobStore, **fields: Any) -> str:
    """Record one job; return its id."""
    job = new_job(**fields)
    store.create([job])
    return job.id


def declare_limits(store: JobStore, limits: Limits, *, task: str = "add") -> None:
    """Have a task limited so from now on, as by a deploy."""
    store.declare([{"name": task, "deploy": next(_deploys)}], [], {task: limits})


def heartbeat(store: JobStore, owner: str = "w1", *running: tuple[str, int]) -> None:
    """Give `owner` a lease of an hour."""
    store.heartbeat(owner, {"name": owner}, HOUR_MS, list(running))


def claim(
    store: JobStore,
    job_id: str,
    attempt: int = 1,
    *,
    owner: str = "w1",
    call: int = 0,
    **fields: Any,
) -> Verdict:
    """Claim one attempt for `owner`."""
    asked = Claim(job_id, attempt, fields.pop("queue", QUEUE), **fields)
    return store.claim(owner, f"{owner}-name", [asked], call=call)[0]


def running(store: JobStore, *, owner: str = "w1", **fields: Any) -> tuple[str, int]:
    """Record one job and start it for `owner`, who has a lease of an hour; return its id and token."""
    heartbeat(store, owner)
    job_id = pending(store, **fields)
    return job_id, claim(store, job_id, owner=owner, queue=fields.get("queue", QUEUE)).token


def settle(
    store: JobStore, job_id: str, token: int, kind: Any = "completed", **fields: Any
) -> bool:
    """Settle one attempt, with a record that is kept for an hour."""
    return store.settle([Outcome(job_id, token, kind, **{"ttl_ms": HOUR_MS, **fields})])[0]


def get(store: JobStore, job_id: str) -> Job:
    """Return a job that is there."""
    (job,) = store.get([job_id])
    assert job is not None
    return job


def result(store: JobStore, job_id: str) -> bytes | None:
    """Return a job's result as JSON, or None."""
    raw = get(store, job_id).result
    return None if raw is None else bytes(raw)


def state(store: JobStore, job_id: str) -> str:
    """Return a job's state."""
    return get(store, job_id).state.value


def counts(store: JobStore) -> dict[str, dict[str, int]]:
    """Return the jobs of each queue by state."""
    return {row.queue: row.states for row in store.counts() if row.states}


def outbox(store: JobStore) -> set[str]:
    """Return the ids of the jobs that are recorded and not known to be published."""
    return {ready.id for ready in store.unpublished(0, 100_000)}
