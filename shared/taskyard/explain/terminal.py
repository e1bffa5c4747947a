"""Where a job is that runs, and why one that has ended did so."""

from collections.abc import Iterator
from typing import Any

from taskyard.explain.findings import Finding, Situation, counted, job_path, short, span
from taskyard.job import Job, JobError, State, rfc3339

#: A scheduler brings a lost job back within half a second: after so long, none does. Seconds.
RECLAIM_S = 5.0

REASONS = {
    "retries_exhausted": "no retries were left",
    "final_error": "its task lists this error as final",
    "timeout": "it ran past its time limit and no retries were left",
    "crash_loop": "it lost its worker too often and may be what kills it",
    "invalid": "its arguments do not fit its task",
    "result_too_large": "its result is larger than RESULT_MAX_BYTES",
    "result_not_json": "its result has no JSON form",
    "unknown_task": "no worker that knows its task appeared in time",
}


def running(situation: Situation) -> Iterator[Finding]:
    """Give where a job runs, and what is about to happen to it."""
    job, facts = situation.job, situation.facts
    if facts.lease_ends_at is None or facts.lease_ends_at <= facts.now_ms:
        yield _worker_lost(situation)
    elif facts.is_unheard:
        yield _unheard(job)
        return
    if job.cancel_requested:
        yield _cancel_requested(situation)
    yield _running(situation)


def _worker_lost(situation: Situation) -> Finding:
    facts, worker = situation.facts, situation.job.attempts[-1].worker
    ended_at = facts.lease_ends_at
    ago_ms = None if ended_at is None else facts.now_ms - ended_at
    when = "" if ago_ms is None else f" {span(ago_ms)} ago"
    return Finding(
        code="worker_lost",
        summary=f"The lease of its worker {worker} ended{when}: the scheduler brings the job back.",
        facts={
            "worker": worker,
            "lease_ended_at": rfc3339(ended_at),
            "ago_s": None if ago_ms is None else ago_ms / 1000,
        },
        links={"workers": "/v1/workers"},
        needs_action=ago_ms is None or ago_ms > RECLAIM_S * 1000,
    )


def _unheard(job: Job) -> Finding:
    worker = job.attempts[-1].worker
    return Finding(
        code="unheard",
        summary=f"{worker} was given it and never heard of that: its next heartbeat gives the job back.",
        facts={"worker": worker, "given_at": rfc3339(job.started_at)},
        links={"workers": "/v1/workers"},
    )


def _cancel_requested(situation: Situation) -> Finding:
    by = situation.facts.replaced_by
    return Finding(
        code="cancel_requested",
        summary=f"It was asked to stop{f' because {by} replaces it' if by else ''}, and has not yet.",
        facts={"replaced_by": by},
        links={"replaced_by": job_path(by)} if by else {},
    )


def _running(situation: Situation) -> Finding:
    job, now_ms = situation.job, situation.facts.now_ms
    started_at = job.started_at or now_ms
    timeout_s = job.message.timeout_s or situation.limits.task_timeout_s
    worker = job.attempts[-1].worker
    progress = job.progress
    return Finding(
        code="running",
        summary=f"Attempt {job.attempt} has run on {worker} for {span(now_ms - started_at)}.",
        facts={
            "attempt": job.attempt,
            "worker": worker,
            "started_at": rfc3339(started_at),
            "running_s": (now_ms - started_at) / 1000,
            "timeout_s": timeout_s,
            "times_out_at": rfc3339(started_at + round(timeout_s * 1000)),
            "progress": progress and {"done": progress.done, "total": progress.total},
        },
        links={"cancel": f"{job_path(job.id)}/cancel"},
    )


def ended(situation: Situation) -> Iterator[Finding]:
    """Give why a job has ended."""
    job = situation.job
    if job.state is State.FAILED:
        yield _failed(job)
    elif job.state is State.CANCELLED:
        yield _cancelled(situation)
    elif job.state is State.EXPIRED:
        yield _expired(job)
    else:
        yield _completed(job)


def _failed(job: Job) -> Finding:
    error = job.error or JobError("", "", reason="error")
    why = REASONS.get(error.reason, error.reason)
    cause = f" with {error.type}: {short(error.message)}" if error.type else ""
    return Finding(
        code="failed",
        summary=f"It failed at attempt {job.attempt}{cause.rstrip('.')}; {why}.",
        facts={
            "reason": error.reason,
            "error": {"type": error.type, "message": short(error.message)},
            "attempts": job.attempt,
            "crashes": job.crashes,
            "max_retries": job.message.options.max_retries,
            "finished_at": rfc3339(job.finished_at),
        },
        links={"dead_letter": f"/v1/dead-letters/{job.id}", **_again(job)},
    )


def _cancelled(situation: Situation) -> Finding:
    job, by = situation.job, situation.facts.replaced_by
    ran = any(each.outcome == "cancelled" for each in job.attempts)
    when = f"while attempt {job.attempt} ran" if ran else "before it started"
    if job.attempt and not ran:
        when = f"after attempt {job.attempt}"
    facts: dict[str, Any] = {"finished_at": rfc3339(job.finished_at), "attempts": job.attempt}
    if by is None:
        return Finding(
            code="cancelled",
            summary=f"It was cancelled {when}.",
            facts=facts,
            links=_again(job),
        )
    return Finding(
        code="replaced",
        summary=f"It was cancelled {when}: {by}, which is like it, replaced it.",
        facts={**facts, "replaced_by": by},
        links={"replaced_by": job_path(by), **_again(job)},
    )


def _expired(job: Job) -> Finding:
    return Finding(
        code="expired",
        summary=f"It was not to start after {rfc3339(job.expires_at)}, and no attempt had started by then.",
        facts={
            "expires_at": rfc3339(job.expires_at),
            "finished_at": rfc3339(job.finished_at),
            "attempts": job.attempt,
        },
        links=_again(job),
    )


def _completed(job: Job) -> Finding:
    took_ms = (job.finished_at or 0) - (job.started_at or 0)
    tries = "" if job.attempt == 1 else f", after {counted(job.attempt - 1, 'attempt')} before"
    return Finding(
        code="completed",
        summary=f"It completed: attempt {job.attempt} ran for {span(took_ms)}{tries}.",
        facts={
            "attempts": job.attempt,
            "started_at": rfc3339(job.started_at),
            "finished_at": rfc3339(job.finished_at),
            "ran_s": took_ms / 1000,
        },
        links={"job": job_path(job.id)},
    )


def _again(job: Job) -> dict[str, str]:
    return {"retry": f"{job_path(job.id)}/retry"}
