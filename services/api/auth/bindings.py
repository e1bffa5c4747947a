"""What a key that is bound to tasks or queues may access of what the routes deal with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from services.api.auth.errors import OutOfReach
from services.api.auth.principal import Principal, current
from taskyard.job import Job
from taskyard.store.finding import Filter
from taskyard.store.jobs import NewJob, Reach

Read = Callable[[Sequence[str]], Sequence[Job | None]]


def is_authorized(task: str, queue: str) -> bool:
    """Return whether the caller's key may access jobs of this task in this queue."""
    return current().is_authorized(task, queue)


def narrow(wanted: Filter) -> Filter:
    """Return a filter for those of the jobs that the caller's key may access."""
    principal = current()
    if not principal.is_bound:
        return wanted
    return structs.replace(wanted, tasks=principal.tasks, queues=principal.queues)


def check_submission(data: Mapping[str, Any], *, pointer: str = "") -> None:
    """Refuse a submission that the caller's key may not make, before the answer says what exists.

    Args:
        data: The submission, of which nothing is checked yet.
        pointer: Where in the body it is.

    Raises:
        OutOfReach: If its task, or the queue that it names, is none that the key is bound to.
    """
    principal = current()
    if principal.tasks and data.get("task") not in principal.tasks:
        raise _refusal(principal, f"{pointer}/task")
    queue = data.get("queue")
    if principal.queues and queue is not None and queue not in principal.queues:
        raise _refusal(principal, f"{pointer}/queue")


def check(task: str, queue: str) -> None:
    """Refuse what the caller's key may not access.

    Raises:
        OutOfReach: If it may not access jobs of this task in this queue.
    """
    principal = current()
    if not principal.is_authorized(task, queue):
        raise _refusal(principal, None)


def of_caller() -> Reach | None:
    """Return what the caller's key may access; None: everything."""
    principal = current()
    return Reach(principal.tasks, principal.queues) if principal.is_bound else None


def bind(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """Return jobs to record, such that they find and replace only what the caller's key may access.

    Raises:
        OutOfReach: If it may not access one of these jobs.
    """
    bound = of_caller()
    if bound is None:
        return jobs
    for job in jobs:
        check(job.task, job.queue)
    return [structs.replace(job, reach=bound) for job in jobs]


def unauthorized_ids(ids: Sequence[str | None], read: Read) -> frozenset[str]:
    """Return those of these ids that are of jobs which the caller's key may not access."""
    given = [each for each in ids if each is not None]
    if not given or not current().is_bound:
        return frozenset()
    return frozenset(
        job.id for job in read(given) if job is not None and not is_job_authorized(job)
    )


def is_job_authorized(job: Job) -> bool:
    """Return whether the caller's key may access this job."""
    return is_authorized(job.message.task, job.queue)


def _refusal(principal: Principal, pointer: str | None) -> OutOfReach:
    return OutOfReach(f"{principal.name} is bound to {bounds(principal)}", pointer=pointer)


def bounds(principal: Principal) -> str:
    """Return what a key is bound to, for people."""
    named = (("tasks", principal.tasks), ("queues", principal.queues))
    return " and ".join(f"{kind} {', '.join(names)}" for kind, names in named if names)
