"""What an operator does to tasks and queues: pause and resume them, limit tasks, purge queues."""

import math
import time
from collections.abc import Collection
from typing import Any

from taskyard.errors import InvalidSubmission, NotFound
from taskyard.faults import Fault
from taskyard.job import rfc3339
from taskyard.operations.actor import Actor
from taskyard.operations.audit_log import ActionName
from taskyard.policy import limits
from taskyard.store import JobStore
from taskyard.store.controls import Kind, LimitKind, Limits

#: Jobs of one call of the store, which nothing else of it can interrupt.
BATCH_JOBS = 500
#: Characters of the reason of a pause.
MAX_REASON_CHARS = 500


def names(store: JobStore, kind: Kind) -> set[str]:
    """Return the names of the tasks or queues that workers declare, and of those that are paused."""
    declared = store.queues() if kind == "queue" else [task["name"] for task in store.tasks()]
    return {*declared, *store.pauses(kind)}


def check_name(store: JobStore, kind: Kind, name: str) -> None:
    """Refuse a name that there is no task or queue of.

    Raises:
        NotFound: If there is none.
    """
    if name not in names(store, kind):
        raise NotFound(kind, name)


def pause(actor: Actor, kind: Kind, name: str, reason: str) -> bool:
    """Let no job of a task or queue start until it is resumed; False if it is paused already.

    Raises:
        NotFound: If there is no such task or queue.
        InvalidSubmission: If the reason is longer than `MAX_REASON_CHARS`.
    """
    if len(reason) > MAX_REASON_CHARS:
        text = f"has {len(reason)} characters, more than {MAX_REASON_CHARS}"
        raise InvalidSubmission([Fault("/reason", "range", text)])
    check_name(actor.store, kind, name)
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
    check_name(actor.store, kind, name)
    before = {"paused": actor.store.pauses(kind).get(name)}
    action: ActionName = "task.resume" if kind == "task" else "queue.resume"
    with actor.recording(action, name, before=before) as entry:
        entry.after = {"paused": None}
        if not (is_changed := actor.store.resume(kind, name)):
            entry.void()
    return is_changed


def limits_of(store: JobStore, task: str) -> dict[str, Any]:
    """Return the limits of a task that hold now, as `limits.describe` has them, and where they come from.

    `is_set` says whether an operator set them; `declared` are those that hold once that is taken back.
    """
    found = store.limits_of(task)
    return {
        **limits.describe(found.declared if found.set is None else found.set),
        "is_set": found.set is not None,
        "declared": limits.describe(found.declared),
    }


def set_limits(
    actor: Actor, task: str, wanted: Limits | None, *, keep: Collection[LimitKind] = ()
) -> None:
    """Set the limits of a task; None takes back what was set, so that what it declares holds.

    Args:
        actor: Who does it.
        task: Its name.
        wanted: Its limits.
        keep: Which of them stay as they are instead.

    Raises:
        NotFound: If there is no such task.
    """
    check_name(actor.store, "task", task)
    action: ActionName = "task.unlimit" if wanted is None else "task.limit"
    with actor.recording(action, task, before=_limit_facts(actor.store, task)) as entry:
        actor.store.set_limits(task, wanted, keep=keep)
        entry.after = _limit_facts(actor.store, task)
        if entry.after == entry.before:
            entry.void()


def _limit_facts(store: JobStore, task: str) -> dict[str, Any]:
    """Return what an entry of the audit log says of a task's limits."""
    found = limits_of(store, task)
    return {name: found[name] for name in ("concurrency", "rate", "is_set")}


def purgeable(store: JobStore, queue: str) -> tuple[int, int]:
    """Return how many jobs are pending in a queue, and when they were counted: milliseconds since 1970.

    Raises:
        NotFound: If there is no such queue.
    """
    if queue not in store.queues() and not any(each.queue == queue for each in store.counts()):
        raise NotFound("queue", queue)
    counted = store.purge(queue, limit=0, ttl_ms=1)
    return counted.left, counted.before_ms


def purge(
    actor: Actor, queue: str, *, before_ms: int | None = None, max_s: float = math.inf
) -> tuple[int, int]:
    """Cancel all jobs that are pending in a queue; what comes meanwhile is left.

    Args:
        actor: Who does it.
        queue: Its name.
        before_ms: Those that were pending at this time; None: now.
        max_s: No more steps begin after so many seconds.

    Returns:
        How many were cancelled, and how many of them are left for another call.
    """
    deadline = time.monotonic() + max_s
    cancelled, left, is_first = 0, 1, True
    with actor.recording("queue.purge", queue) as entry:
        while left and (is_first or time.monotonic() <= deadline):
            step = actor.store.purge(
                queue, limit=BATCH_JOBS, ttl_ms=actor.ttl_ms, before_ms=before_ms
            )
            before_ms, left, is_first = step.before_ms, step.left, False
            cancelled += step.cancelled
        entry.after = {"cancelled": cancelled, "left": left}
        if not cancelled:
            entry.void()
    return cancelled, left
