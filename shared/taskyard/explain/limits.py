"""What holds a job back on purpose: pauses and limits."""

from collections.abc import Iterator
from typing import Any

from taskyard.explain.findings import Finding, Situation, counted, holder, job_path, span
from taskyard.job import rfc3339
from taskyard.policy import limits as limit_texts
from taskyard.store.explaining import LimitFacts


def pauses(situation: Situation) -> Iterator[Finding]:
    """Give the pauses of a job's queue and task."""
    facts, queue = situation.facts, situation.job.queue
    if facts.queue_pause is not None:
        yield _pause("queue", queue, facts.queue_pause)
    if facts.task_pause is not None:
        yield _pause("task", situation.task, facts.task_pause)


def _pause(kind: str, name: str, document: dict[str, Any]) -> Finding:
    by, at, reason = document.get("by"), document.get("at"), document.get("reason")
    details = [
        f" by {by}" if by else "",
        f" since {at}" if at else "",
        f": {reason}" if reason else "",
    ]
    return Finding(
        code="queue_paused" if kind == "queue" else "task_paused",
        summary=f"The {kind} {name!r} is paused{''.join(details)}.",
        facts={kind: name, "by": by, "at": at, "reason": reason},
        links={"resume": f"/v1/{kind}s/{name}/resume", f"{kind}s": f"/v1/{kind}s"},
        is_blocking=True,
        needs_action=True,
    )


def limit(situation: Situation) -> Iterator[Finding]:
    """Give the limit that a job is held back by, if it is and its task is not paused."""
    found = situation.facts.limit
    if situation.facts.held_at is None or found is None or situation.facts.task_pause is not None:
        return
    now_ms = situation.facts.now_ms
    if _is_full(found):
        yield _concurrency(situation, found)
    elif _next_start(found, now_ms) is not None:
        yield _rate(situation, found, _next_start(found, now_ms) or now_ms)
    else:
        yield _line(situation, found)


def is_free(situation: Situation) -> bool:
    """Return whether the limit that a job is held back by would let one go now: a scheduler does it."""
    found, facts = situation.facts.limit, situation.facts
    if facts.held_at is None or found is None or facts.task_pause is not None:
        return False
    return not _is_full(found) and _next_start(found, facts.now_ms) is None


def _is_full(found: LimitFacts) -> bool:
    return 0 < found.limits.concurrency <= found.holding


def _next_start(found: LimitFacts, now_ms: int) -> int | None:
    """Return when the rate lets the next one start; None: now."""
    if 0 < found.limits.starts <= found.coming:
        return now_ms  # those that were let go are to start first
    next_at = found.oldest_start_ms + found.limits.per_ms if found.oldest_start_ms else 0
    return next_at if next_at > now_ms else None


def _concurrency(situation: Situation, found: LimitFacts) -> Finding:
    now_ms, most = situation.facts.now_ms, found.limits.concurrency
    first = next((each.id for each in found.holders), None)
    by = f", one of them {first}" if first and found.holding > 1 else f": {first}" if first else ""
    busy = f"{counted(found.holding, 'job')} of the task {situation.task!r}{_of_key(found)}"
    return Finding(
        code="concurrency_limit",
        summary=f"{busy} run{'s' if found.holding == 1 else ''}, and no more than {most} may at a time{by}.",
        facts={
            **_common(situation, found),
            "concurrency": most,
            "holding": found.holding,
            "holders": [holder(each, now_ms) for each in found.holders],
        },
        links=_links(situation) | ({"holder": job_path(first)} if first else {}),
        is_blocking=True,
    )


def _rate(situation: Situation, found: LimitFacts, next_at: int) -> Finding:
    now_ms, rate = situation.facts.now_ms, limit_texts.describe(found.limits)["rate"]
    return Finding(
        code="rate_limit",
        summary=f"The rate of {rate} of the task {situation.task!r}{_of_key(found)} is used up"
        f" for the next {span(next_at - now_ms)}.",
        facts={
            **_common(situation, found),
            "rate": rate,
            "next_start_at": rfc3339(next_at),
            "in_s": (next_at - now_ms) / 1000,
        },
        links=_links(situation),
        is_blocking=True,
    )


def _line(situation: Situation, found: LimitFacts) -> Finding:
    before = f"after {counted(found.place, 'job')} that came before it" if found.place else "next"
    return Finding(
        code="limit_line",
        summary=f"It waits in the line of a limit of the task {situation.task!r}{_of_key(found)},"
        f" and the scheduler lets it go {before}.",
        facts=_common(situation, found),
        links=_links(situation),
        is_blocking=True,
    )


def _common(situation: Situation, found: LimitFacts) -> dict[str, Any]:
    return {
        "task": situation.task,
        "key": found.key or None,
        "held_since": rfc3339(situation.facts.held_at),
        "before_it": found.place,
        "held_back": found.held_back,
    }


def _links(situation: Situation) -> dict[str, str]:
    return {"limits": f"/v1/tasks/{situation.task}/limits"}


def _of_key(found: LimitFacts) -> str:
    return f" with the key {found.key!r}" if found.key else ""
