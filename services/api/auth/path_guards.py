"""How the request of a bound key is kept within its reach, by what is in the path.

Each guard is called with the request's principal, who is bound, and the arguments in its path. What is out of
reach and has an id is told as not there; what has a name that others may guess is told as out of reach.
"""

from collections.abc import Callable, Mapping

from services.api.auth.bindings import bounds
from services.api.auth.errors import OutOfReach
from services.api.auth.principal import Principal
from services.api.context import context
from taskyard.errors import JobNotFound
from taskyard.schedules.record import known

Guard = Callable[[Principal, Mapping[str, str]], None]


def by_route(_principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass: the route itself keeps within reach."""


def unbound_only(principal: Principal, _path: Mapping[str, str]) -> None:
    """Refuse: this is about the whole system."""
    text = f"this is about the whole system, and {principal.name} is bound to {bounds(principal)}"
    raise OutOfReach(text)


def job(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the job is within reach; any other, and one that is not there, takes the same steps."""
    job_id = path["job_id"]
    (found,) = context().read([job_id])
    if found is None or not principal.reaches(found.message.task, found.queue):
        context().store.get(
            [job_id]
        )  # it may be so damaged that nobody can say whose it is: then this raises
        raise JobNotFound(job_id)


def task(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the task is within reach in any queue."""
    if principal.tasks and path["name"] not in principal.tasks:
        raise OutOfReach(f"{principal.name} is bound to {bounds(principal)}")


def whole_task(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the task is within reach in all queues."""
    if not principal.tasks or principal.queues or path["name"] not in principal.tasks:
        raise OutOfReach(
            f"this concerns all of the task; {principal.name} is bound to {bounds(principal)}"
        )


def whole_queue(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where all tasks in the queue are within reach."""
    if not principal.queues or principal.tasks or path["name"] not in principal.queues:
        raise OutOfReach(
            f"this concerns all of the queue; {principal.name} is bound to {bounds(principal)}"
        )


def queues_of_all_tasks(principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass keys that are bound to queues alone: what is told of a queue is of all its tasks."""
    if principal.tasks:
        raise OutOfReach(
            f"this is about all tasks; {principal.name} is bound to {bounds(principal)}"
        )


def tasks_of_all_queues(principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass keys that are bound to tasks alone: what is told of a task is of all queues."""
    if principal.queues:
        raise OutOfReach(
            f"this is about all queues; {principal.name} is bound to {bounds(principal)}"
        )


def schedule(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the schedule's jobs are within reach, or there is none of this name."""
    row = context().store.schedule(path["name"])
    if row is None:
        return
    asked = known(row).schedule
    if not principal.reaches(asked.task, asked.queue or context().catalogue.queue_of(asked.task)):
        text = f"schedule {path['name']!r} is out of reach; {principal.name} is bound to {bounds(principal)}"
        raise OutOfReach(text)
