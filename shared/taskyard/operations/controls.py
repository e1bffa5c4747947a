"""What an operator does to tasks and queues: pause and resume them, limit tasks, purge queues."""

import math
import time
from typing import Any

from taskyard import limits
from taskyard.audit_log import ActionName
from taskyard.errors import NotFound
from taskyard.job import rfc3339
from taskyard.operations.actor import Actor
from taskyard.store.base import JobStore
from taskyard.store.controls import Kind, Limits

#: Jobs of one call of the store, which nothing else of it can interrupt.
BATCH_JOBS = 500


def known(store: JobStore, kind: Kind) -> set[str]:
    """Return the tasks or queues that workers told, and those that are paused: they may be gone since."""
    told = store.queues() if kind == "queue" else [task["name"] for task in store.tasks()]
    return {*told, *store.pauses(kind)}


def check_known(store: JobStore, kind: Kind, name: str) -> None:
    """Refuse a name that there is no task or queue of.

    Raises:
        NotFound: If there is none.
    """
    if name not in known(store, kind):
        raise NotFound(kind, name)


def pause(actor: Actor, kind: Kind, name: str, reason: str) -> bool:
    """Let no job of a task or queue start until it is resumed; False if it is paused already.

    Raises:
        NotFound: If there is no such task or queue.
    """
    check_known(actor.store, kind, name)
    document = {"at": rfc3339(time.time_ns() // 1_000_000), "by": actor.who, "reason": reason}
    action: ActionName = "task.pause" if kind == "task" else "queue.pause"
    with actor.recording(action, name) as entry:
        if is_new := actor.store.pause(kind, name, document):
            entry.before, entry.after = {"paused": None}, {"paused": document}
        else:
            entry.void()
    return is_new


def resume(actor: Actor, kind: Kind, name: str) -> bool:
    """Let jobs of a task or queue start again; False if it is not paused.

    Raises:
        NotFound: If there is no such task or queue.
    """
    check_known(actor.store, kind, name)
    before = {"paused": actor.store.pauses(kind).get(name)}
    action: ActionName = "task.resume" if kind == "task" else "queue.resume"
    with actor.recording(action, name, before=before) as entry:
        entry.after = {"paused": None}
        if not (is_changed := actor.store.resume(kind, name)):
            entry.void()
    return is_changed


def limits_of(store: JobStore, task: str) -> dict[str, Any]:
    """Return the limits of a task that hold now, as `limits.describe` has them."""
    return limits.describe(store.limits().get(task, Limits()))


def set_limits(actor: Actor, task: str, wanted: Limits | None) -> None:
    """Set the limits of a task; None takes back what was set, so that what it declares holds.

    Raises:
        NotFound: If there is no such task.
    """
    check_known(actor.store, "task", task)
    action: ActionName = "task.unlimit" if wanted is None else "task.limit"
    with actor.recording(action, task, before=limits_of(actor.store, task)) as entry:
        actor.store.set_limits(task, wanted)
        now = limits_of(actor.store, task) if wanted is None else limits.describe(wanted)
        entry.after = now


def purgeable(store: JobStore, queue: str) -> int:
    """Return how many jobs are pending in a queue.

    Raises:
        NotFound: If there is no such queue.
    """
    if queue not in store.queues() and not any(each.queue == queue for each in store.counts()):
        raise NotFound("queue", queue)
    return store.purge(queue, limit=0, ttl_ms=1).left


def purge(actor: Actor, queue: str, *, max_s: float = math.inf) -> tuple[int, int]:
    """Cancel all jobs that are pending in a queue now; what comes meanwhile is left.

    Args:
        actor: Who does it.
        queue: Its name.
        max_s: No more steps begin after so many seconds.

    Returns:
        How many were cancelled, and how many of them are left for another call.
    """
    deadline = time.monotonic() + max_s
    before_ms: int | None = None
    cancelled, left = 0, 1
    with actor.recording("queue.purge", queue) as entry:
        while left and (before_ms is None or time.monotonic() <= deadline):
            step = actor.store.purge(
                queue, limit=BATCH_JOBS, ttl_ms=actor.ttl_ms, before_ms=before_ms
            )
            before_ms, left = step.before_ms, step.left
            cancelled += step.cancelled
        entry.after = {"cancelled": cancelled, "left": left}
    return cancelled, left
