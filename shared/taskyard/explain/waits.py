"""What a job waits for that is not its turn: its time, its message, a worker that knows its task."""

from collections.abc import Iterator

from taskyard.explain.findings import Finding, Situation, counted, job_path, short, span
from taskyard.explain.limits import is_free
from taskyard.job import State, rfc3339

#: What is later than this does not come by itself in a moment. Seconds.
LATE_S = 1.0


def is_in_doubt(situation: Situation) -> bool:
    """Return whether the broker may be the reason: something is late that only waits for it."""
    is_late = max(late_ms(situation), unconfirmed_ms(situation)) > LATE_S * 1000
    return is_late or is_free(situation)


def late_ms(situation: Situation) -> int:
    """Return how long a job that waits for its time is past it, in milliseconds; else 0."""
    job, facts = situation.job, situation.facts
    is_waiting = job.state in (State.SCHEDULED, State.RETRYING) and facts.held_at is None
    if is_suspect(situation):
        return 0  # a worker fetches it
    return max(0, facts.now_ms - job.run_at) if is_waiting and job.run_at is not None else 0


def is_suspect(situation: Situation) -> bool:
    """Return whether a job waits to be tried alone."""
    return situation.job.reason == "suspect"


def unconfirmed_ms(situation: Situation) -> int:
    """Return how long a ready job waits for its message to be confirmed, in milliseconds; else 0."""
    facts = situation.facts
    if situation.job.state is not State.PENDING or facts.unconfirmed_since is None:
        return 0
    return max(0, facts.now_ms - facts.unconfirmed_since)


def broker(situation: Situation) -> Iterator[Finding]:
    """Give what is wrong with RabbitMQ, as far as anybody looked."""
    state = situation.broker
    if state is None or state.kind == "ready":
        return
    is_blocked = state.kind == "blocked"
    yield Finding(
        code="broker_blocked" if is_blocked else "broker_away",
        summary="An alarm of RabbitMQ lets nobody publish"
        f"{f' ({state.detail})' if state.detail else ''}."
        if is_blocked
        else f"RabbitMQ cannot be reached: {short(state.detail)}.",
        facts={"detail": state.detail or None},
        links={"readiness": "/readyz"},
        is_blocking=is_in_doubt(situation),
        needs_action=True,
    )


def time(situation: Situation) -> Iterator[Finding]:
    """Give the time that a job waits for, or that it has missed."""
    job, facts = situation.job, situation.facts
    if is_suspect(situation):
        yield _suspect(situation)
        return
    if job.run_at is None or facts.held_at is not None:
        return
    if late_ms(situation) > LATE_S * 1000:
        yield _overdue(situation, job.run_at)
    if facts.parked_at is not None:
        yield from parked(situation)
    elif job.state is State.RETRYING:
        yield _retry(situation, job.run_at)
    elif late_ms(situation) <= LATE_S * 1000:
        yield _scheduled(situation, job.run_at)


def _overdue(situation: Situation, run_at: int) -> Finding:
    late = late_ms(situation)
    return Finding(
        code="overdue",
        summary=f"Its time passed {span(late)} ago, and no scheduler has sent it to its queue.",
        facts={"run_at": rfc3339(run_at), "late_s": late / 1000},
        links={"stats": "/v1/stats"},
        is_blocking=True,
        needs_action=True,
    )


def _scheduled(situation: Situation, run_at: int) -> Finding:
    left_ms = max(0, run_at - situation.facts.now_ms)
    return Finding(
        code="waiting_for_time",
        summary=f"It is to run at {rfc3339(run_at)}, in {span(left_ms)}.",
        facts={"run_at": rfc3339(run_at), "in_s": left_ms / 1000},
        links={"run_now": f"{job_path(situation.job.id)}/run-now"},
        is_blocking=True,
    )


def _retry(situation: Situation, run_at: int) -> Finding:
    job = situation.job
    left_ms = max(0, run_at - situation.facts.now_ms)
    error = job.error
    why = f"failed with {error.type}: {short(error.message)}" if error else "was lost"
    return Finding(
        code="retry_backoff",
        summary=f"Attempt {job.attempt} {why.rstrip('.')};"
        f" the next is at {rfc3339(run_at)}, in {span(left_ms)}.",
        facts={
            "attempt": job.attempt,
            "max_retries": job.message.options.max_retries,
            "reason": error.reason if error else None,
            "error": {"type": error.type, "message": short(error.message)} if error else None,
            "run_at": rfc3339(run_at),
            "in_s": left_ms / 1000,
        },
        links={"run_now": f"{job_path(job.id)}/run-now", "job": job_path(job.id)},
        is_blocking=True,
    )


def _suspect(situation: Situation) -> Finding:
    job = situation.job
    left_ms = max(0, (job.run_at or 0) - situation.facts.now_ms)
    when = f" in {span(left_ms)}" if left_ms else ""
    before = situation.facts.suspects_before
    turn = f"after {counted(before, 'other')} of its queue" if before else "next"
    was = (
        f"{counted(job.crashes, 'worker')} died with it alone" if job.crashes else "its worker died"
    )
    return Finding(
        code="suspect",
        summary=f"It may be what kills its workers ({was}): it is tried alone {turn},"
        f" in a process of its own{when}.",
        facts={
            "attempt": job.attempt,
            "crashes": job.crashes,
            "before_it": before,
            "run_at": rfc3339(job.run_at),
            "in_s": left_ms / 1000,
        },
        links={"job": job_path(job.id), "workers": "/v1/workers"},
        is_blocking=True,
    )


def parked(situation: Situation) -> Iterator[Finding]:
    """Give that no worker that has looked at a job knew its task; its message may be out for another look."""
    now_ms, job, parked_at = situation.facts.now_ms, situation.job, situation.facts.parked_at
    if parked_at is None:
        return
    given_up_at = parked_at + round(situation.limits.unknown_task_ttl_s * 1000)
    capable = len(situation.capable)
    hope = (
        "one that knows it reads its queue by now"
        if capable
        else "restart the worker after adding a task;"
        f" it is given up in {span(given_up_at - now_ms)}"
    )
    yield Finding(
        code="parked",
        summary="It is parked: the worker that looked at it does not know the task"
        f" {situation.task!r}; {hope}.",
        facts={
            "task": situation.task,
            "queue": job.queue,
            "parked_at": rfc3339(parked_at),
            "next_look_at": rfc3339(job.run_at),
            "given_up_at": rfc3339(given_up_at),
            "workers_that_know": capable,
        },
        links={"workers": "/v1/workers", "tasks": "/v1/tasks"},
        is_blocking=True,
        needs_action=not capable,
    )


def message(situation: Situation) -> Iterator[Finding]:
    """Give that a job's message is not known to be in its queue."""
    since, age_ms = situation.facts.unconfirmed_since, unconfirmed_ms(situation)
    if situation.job.state is not State.PENDING or since is None:
        return
    is_late = age_ms > LATE_S * 1000
    relay_after_ms = round(situation.limits.relay_after_s * 1000)
    yield Finding(
        code="unconfirmed",
        summary=f"It has been recorded for {span(age_ms)} without a confirm of its message;"
        " the scheduler publishes it again."
        if is_late
        else "Its message is on its way to its queue.",
        facts={
            "since": rfc3339(since),
            "unconfirmed_s": age_ms / 1000,
            "relay_at": rfc3339(since + relay_after_ms),
        },
        links={"stats": "/v1/stats"},
        is_blocking=is_late,
        needs_action=age_ms > 2 * relay_after_ms + LATE_S * 1000,
    )


def expiry(situation: Situation) -> Iterator[Finding]:
    """Give that a job may not start any more."""
    expires_at, now_ms = situation.job.expires_at, situation.facts.now_ms
    if expires_at is None or expires_at > now_ms:
        return
    yield Finding(
        code="past_expiry",
        summary=f"It was not to start after {rfc3339(expires_at)}: it expires when a worker reaches it.",
        facts={"expires_at": rfc3339(expires_at), "late_s": (now_ms - expires_at) / 1000},
        is_blocking=True,
    )
