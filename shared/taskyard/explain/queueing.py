"""When it is a ready job's turn: workers, their slots, who is ahead, and the pace of the queue."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from taskyard.explain.findings import (
    NAMED,
    Finding,
    Situation,
    counted,
    explain_path,
    holder,
    serves,
    slots,
    span,
)
from taskyard.job import rfc3339
from taskyard.store.explaining import PACE_STEP_S, Risen

#: The pace is that of the last minute, or of all that is known where fewer started in it.
MINUTE_STEPS = 7
ENOUGH_STARTS = 10
#: A queue that works starts something within so many steps.
QUIET_STEPS = 3
#: A message that was lost is published again within so many seconds; if not, somebody has to do something.
REPAIRED_S = 60.0


class Pace(NamedTuple):
    """How many attempts started, and over what time."""

    starts: int
    over_s: float

    @property
    def per_s(self) -> float:
        """Starts a second."""
        return self.starts / self.over_s if self.starts else 0.0


def pace(steps: Sequence[int], now_ms: int) -> Pace:
    """Return the pace of a queue, from the first step of the window in which something started.

    Args:
        steps: Starts in steps of `PACE_STEP_S`, the latest last, which has just begun.
        now_ms: The time, in milliseconds since 1970.
    """
    window = list(steps[-MINUTE_STEPS:])
    if sum(window) < ENOUGH_STARTS:
        window = list(steps)
    while window and not window[0]:
        window.pop(0)
    into_step_s = now_ms % (PACE_STEP_S * 1000) / 1000
    over_s = max(1.0, (len(window) - 1) * PACE_STEP_S + into_step_s)
    return Pace(sum(window), over_s)


def workers(situation: Situation) -> Iterator[Finding]:
    """Give that no worker serves a job's queue, or none of them knows its task."""
    if not situation.serving:
        yield _no_worker(situation)
    elif not situation.capable and situation.facts.parked_at is None:
        yield _task_unknown(situation)


def _no_worker(situation: Situation) -> Finding:
    queue = situation.job.queue
    gone = [w for w in situation.workers if queue in w.get("queues", ()) and not serves(w, queue)]
    alive = sum(bool(w["is_alive"]) for w in situation.workers)
    hope = ""
    if alive and not gone:
        hope = f"; the {alive} alive read other queues: restart the worker after adding a task"
    return Finding(
        code="no_worker",
        summary=f"No live worker reads the queue {queue!r}{hope}.",
        facts={
            "queue": queue,
            "workers_alive": alive,
            "gone": [
                {
                    "id": each["id"],
                    "last_seen_at": rfc3339(each["last_seen_at"]),
                    "is_stopping": bool(each["is_alive"]),
                }
                for each in sorted(gone, key=lambda w: -w["last_seen_at"])[:NAMED]
            ],
        },
        links={"workers": "/v1/workers"},
        is_blocking=True,
        needs_action=True,
    )


def _task_unknown(situation: Situation) -> Finding:
    elsewhere = {
        queue
        for each in situation.workers
        if each["is_alive"] and situation.task in each.get("tasks", ())
        for queue in each.get("queues", ())
    }
    return Finding(
        code="task_unknown",
        summary=f"No live worker of the queue {situation.job.queue!r} knows the task {situation.task!r};"
        f" {'those that do read other queues' if elsewhere else 'restart the worker after adding a task'}.",
        facts={
            "task": situation.task,
            "queue": situation.job.queue,
            "workers": len(situation.serving),
            "known_in_queues": sorted(elsewhere)[:NAMED],
        },
        links={"workers": "/v1/workers", "tasks": "/v1/tasks"},
        is_blocking=True,
        needs_action=True,
    )


def turn(situation: Situation, *, is_held_up: bool) -> Iterator[Finding]:
    """Give what a ready job's turn waits for.

    Args:
        situation: Of the job.
        is_held_up: Something else keeps the queue from moving, so that nothing can be estimated.
    """
    estimate = _estimate(situation, is_held_up=is_held_up)
    have, hold = slots(situation.capable)
    is_busy = have > 0 and hold >= have
    if is_busy:
        yield _busy(situation, have, hold, estimate)
    if situation.ahead.count:
        yield _ahead(situation, estimate)
    if not is_held_up and not is_busy:
        yield from _free(situation, have - hold)


def _busy(situation: Situation, have: int, hold: int, estimate: dict[str, Any]) -> Finding:
    named = [holder(each, situation.facts.now_ms) for each in situation.occupants]
    longest = (
        f"; {named[0]['id']} has run for {span(named[0]['running_s'] * 1000)}" if named else ""
    )
    who = counted(len(situation.capable), "worker")
    return Finding(
        code="slots_busy",
        summary=f"All {counted(have, 'slot')} of {who} that can run it are busy{longest}.",
        facts={
            "workers": len(situation.capable),
            "slots": have,
            "running": hold,
            "longest_running": named,
            **estimate,
        },
        links={"workers": "/v1/workers"}
        | ({"longest_running": explain_path(named[0]["id"])} if named else {}),
        is_blocking=True,
    )


def _ahead(situation: Situation, estimate: dict[str, Any]) -> Finding:
    ahead = situation.ahead
    many = counted(ahead.count, "ready job")
    guess = estimate["estimate_s"]
    when = (
        "" if guess is None else f"; at the pace of the queue its turn is in {span(guess * 1000)}"
    )
    return Finding(
        code="jobs_ahead",
        summary=f"{many if ahead.is_complete else f'More than {many}'}"
        f" of the queue come{'s' if ahead.count == 1 else ''} before it{when}.",
        facts={
            "queue": situation.job.queue,
            "priority": situation.job.message.priority,
            "stands_at": _stands_at(situation),
            "ahead": ahead.count,
            "is_complete": ahead.is_complete,
            "ready": situation.facts.ready,
            **estimate,
        },
        links={"queues": "/v1/queues"},
        is_blocking=True,
    )


def _stands_at(situation: Situation) -> int:
    risen = situation.facts.risen
    return situation.job.message.priority if risen is None else risen.priority


def risen(situation: Situation, to: Risen) -> Finding:
    """Give that a ready job stands above its own priority."""
    facts, own = situation.facts, situation.job.message.priority
    waited_ms = facts.now_ms - (facts.ready_since or to.since)
    # What was published again, as by repair, keeps what it had risen to before.
    is_older = facts.ready_since is not None and to.since < facts.ready_since
    waiting = "waiting" if is_older else f"waiting for {span(waited_ms)}"
    return Finding(
        code="risen",
        summary=f"Its priority is {own}, risen to {to.priority} by {waiting}.",
        facts={
            "priority": own,
            "stands_at": to.priority,
            "since": rfc3339(to.since),
            "ready_s": max(0, waited_ms) / 1000,
        },
    )


def _estimate(situation: Situation, *, is_held_up: bool) -> dict[str, Any]:
    """Return when it is the job's turn, or why that cannot be estimated, and the pace that it goes by."""
    found = pace(situation.facts.pace, situation.facts.now_ms)
    why = "held_up" if is_held_up else None if found.starts else "no_starts"
    estimate_s = None if why else (situation.ahead.count + 1) / found.per_s
    if estimate_s is not None and not situation.ahead.is_complete:
        why = "at_least"
    return {
        "estimate_s": None if estimate_s is None else round(estimate_s, 3),
        "estimate_note": why,
        "pace": {
            "starts": found.starts,
            "over_s": round(found.over_s, 3),
            "per_s": round(found.per_s, 3),
        },
    }


def _free(situation: Situation, free: int) -> Iterator[Finding]:
    """Give what is odd about a job that could run, or that nothing is."""
    facts = situation.facts
    if facts.ready_since is None or facts.unconfirmed_since is not None:
        return
    ready_ms = max(0, facts.now_ms - facts.ready_since)
    is_quiet = not sum(facts.pace[-QUIET_STEPS:])
    patience_ms = (2 + 2 * situation.limits.heartbeat_s) * 1000
    shown = {
        "ready_since": rfc3339(facts.ready_since),
        "ready_s": ready_ms / 1000,
        "free_slots": free,
    }
    if ready_ms > patience_ms and (is_quiet or not situation.ahead.count):
        yield Finding(
            code="stalled",
            summary=f"It has been ready for {span(ready_ms)} with {counted(free, 'slot')} free and"
            " no worker has taken it: its message may be lost, and is published again soon then.",
            facts=shown,
            links={"workers": "/v1/workers"},
            is_blocking=True,
            needs_action=ready_ms > REPAIRED_S * 1000,
        )
    elif not situation.ahead.count:
        yield Finding(
            code="ready",
            summary="Nothing keeps it from running: a worker takes it any moment.",
            facts=shown,
        )
