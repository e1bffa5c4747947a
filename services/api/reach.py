"""What a key that is bound to tasks or queues reaches of what the routes deal with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from services.api.principal import Principal, current
from services.api.refusals import OutOfReach
from taskyard.job import Job
from taskyard.message import decode
from taskyard.store.base import NewJob
from taskyard.store.finding import Filter

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


def check_jobs(jobs: Sequence[NewJob], read: Read) -> None:
    """Refuse to record jobs that are out of reach, or have the ids of some that are.

    Raises:
        OutOfReach: If one of them is.
    """
    principal = current()
    if not principal.is_bound:
        return
    for job in jobs:
        if not principal.reaches(job.task, job.queue):
            raise _refusal(principal, None)
    for found in read([job.id for job in jobs]):
        if found is not None and not reaches_job(found):
            raise OutOfReach(f"the id {found.id!r} is that of a job out of reach; take another")


def reaches_job(job: Job) -> bool:
    """Return whether a job is within reach."""
    return reaches(job.message.actor_name, job.queue)


def shown(document: dict[str, Any], found: Job, asked: NewJob | None) -> dict[str, Any]:
    """Return the document of a submitted job as the submitter may see it.

    Who may not read jobs sees what is theirs. A job that was there before and is not what they asked for, or
    is out of their reach, is shown without what went in and came out.

    Args:
        document: The document.
        found: The job.
        asked: What was asked for; None: this very job.
    """
    is_theirs = asked is None or current().may("jobs:read") or _is_same(found, asked)
    if is_theirs and reaches_job(found):
        return document
    hidden: dict[str, Any] = {
        "args": [],
        "kwargs": {},
        "tags": [],
        "progress": None,
        "result": None,
        "error": None,
    }
    return {**document, **hidden, "attempts": [], "attempts_omitted": found.attempt}


def _is_same(found: Job, asked: NewJob) -> bool:
    wanted = decode(asked.body)
    told = found.message
    return found.is_readable and (told.actor_name, told.args, told.kwargs) == (
        wanted.actor_name,
        wanted.args,
        wanted.kwargs,
    )


def _refusal(principal: Principal, pointer: str | None) -> OutOfReach:
    return OutOfReach(f"{principal.name} is bound to {bounds(principal)}", pointer=pointer)


def bounds(principal: Principal) -> str:
    """Return what a key is bound to, for people."""
    named = (("tasks", principal.tasks), ("queues", principal.queues))
    return " and ".join(f"{kind} {', '.join(names)}" for kind, names in named if names)
