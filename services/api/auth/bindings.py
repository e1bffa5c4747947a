"""What a key that is bound to tasks or queues reaches of what the routes deal with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from services.api.auth.errors import OutOfReach
from services.api.auth.principal import Principal, current
from taskyard.job import Job
from taskyard.store.finding import Filter
from taskyard.store.jobs import NewJob, Reach

Read = Callable[[Sequence[str]], Sequence[Job | None]]


def reaches(task: str, queue: str) -> bool:
    """Return whether whoever makes this request may have to do with jobs of this task in this queue."""
    return current().reaches(task, queue)


def narrow(wanted: Filter) -> Filter:
    """Return a filter for those of the jobs that are within reach."""
    principal = current()
    if not principal.is_bound:
        return wanted
    return structs.replace(wanted, tasks=principal.tasks, queues=principal.queues)


def check_asked(data: Mapping[str, Any], *, pointer: str = "") -> None:
    """Refuse a submission for what is out of reach, before it is said what there is.

    Args:
        data: The submission, of which nothing is checked yet.
        pointer: Where in the body it is.

    Raises:
        OutOfReach: If its task is, or its queue where it names one.
    """
    principal = current()
    if principal.tasks and data.get("task") not in principal.tasks:
        raise _refusal(principal, f"{pointer}/task")
    queue = data.get("queue")
    if principal.queues and queue is not None and queue not in principal.queues:
        raise _refusal(principal, f"{pointer}/queue")


def check(task: str, queue: str) -> None:
    """Refuse what is out of reach.

    Raises:
        OutOfReach: If jobs of this task in this queue are.
    """
    principal = current()
    if not principal.reaches(task, queue):
        raise _refusal(principal, None)


def of_caller() -> Reach | None:
    """Return what whoever makes this request may reach; None: all."""
    principal = current()
    return Reach(principal.tasks, principal.queues) if principal.is_bound else None


def within(jobs: Sequence[NewJob]) -> Sequence[NewJob]:
    """Return jobs to record such that they find and replace only what is within reach.

    Raises:
        OutOfReach: If one of them is not.
    """
    caller_reaches = of_caller()
    if caller_reaches is None:
        return jobs
    for job in jobs:
        check(job.task, job.queue)
    return [structs.replace(job, reach=caller_reaches) for job in jobs]


def elsewhere(ids: Sequence[str | None], read: Read) -> frozenset[str]:
    """Return those of these ids that are known to be of jobs out of reach."""
    given = [each for each in ids if each is not None]
    if not given or not current().is_bound:
        return frozenset()
    return frozenset(job.id for job in read(given) if job is not None and not reaches_job(job))


def reaches_job(job: Job) -> bool:
    """Return whether a job is within reach."""
    return reaches(job.message.task, job.queue)


def _refusal(principal: Principal, pointer: str | None) -> OutOfReach:
    return OutOfReach(f"{principal.name} is bound to {bounds(principal)}", pointer=pointer)


def bounds(principal: Principal) -> str:
    """Return what a key is bound to, for people."""
    named = (("tasks", principal.tasks), ("queues", principal.queues))
    return " and ".join(f"{kind} {', '.join(names)}" for kind, names in named if names)
