"""How the request of a bound key is kept to its tasks and queues, by what is in the path.

Each guard is called with the request's principal, who is bound, and the arguments in its path. What the key
may not access is not found where it has an id, and out of reach where it has a name that can be guessed.
"""

from collections.abc import Callable, Mapping

from services.api.auth.bindings import bounds
from services.api.auth.errors import OutOfReach
from services.api.auth.principal import Principal
from services.api.context import context
from taskyard.errors import JobNotFound
from taskyard.schedules.record import ScheduleRecord

Guard = Callable[[Principal, Mapping[str, str]], None]


def by_route(_principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass: the route itself checks what the key is bound to."""


def unbound_only(principal: Principal, _path: Mapping[str, str]) -> None:
    """Refuse: this is about the whole system."""
    text = f"this is about the whole system, and {principal.name} is bound to {bounds(principal)}"
    raise OutOfReach(text)


def job(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the key may access the job; any other job, and a missing one, take the same steps."""
    job_id = path["job_id"]
    (found,) = context().read([job_id])
    if found is None or not principal.is_authorized(found.message.task, found.queue):
        # The record may be so damaged that nobody can say whose it is: then this raises.
        context().store.get([job_id])
        raise JobNotFound(job_id)


def task(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the key may access the task in any queue."""
    if principal.tasks and path["name"] not in principal.tasks:
        raise OutOfReach(f"{principal.name} is bound to {bounds(principal)}")


def whole_task(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the key may access the task in all queues."""
    if not principal.tasks or principal.queues or path["name"] not in principal.tasks:
        raise OutOfReach(
            f"this concerns all of the task; {principal.name} is bound to {bounds(principal)}"
        )


def whole_queue(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the key may access all tasks in the queue."""
    if not principal.queues or principal.tasks or path["name"] not in principal.queues:
        raise OutOfReach(
            f"this concerns all of the queue; {principal.name} is bound to {bounds(principal)}"
        )


def queues_of_all_tasks(principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass keys that are bound to queues alone: the answer is about all tasks of a queue."""
    if principal.tasks:
        raise OutOfReach(
            f"this is about all tasks; {principal.name} is bound to {bounds(principal)}"
        )


def tasks_of_all_queues(principal: Principal, _path: Mapping[str, str]) -> None:
    """Let pass keys that are bound to tasks alone: the answer is about all queues of a task."""
    if principal.queues:
        raise OutOfReach(
            f"this is about all queues; {principal.name} is bound to {bounds(principal)}"
        )


def schedule(principal: Principal, path: Mapping[str, str]) -> None:
    """Let pass where the key may access the schedule's jobs, or there is no schedule of this name."""
    row = context().store.schedule(path["name"])
    if row is None:
        return
    found = ScheduleRecord.from_row(row).schedule
    if not principal.is_authorized(
        found.task, found.queue or context().catalogue.queue_of(found.task)
    ):
        text = f"schedule {path['name']!r} is out of reach; {principal.name} is bound to {bounds(principal)}"
        raise OutOfReach(text)
