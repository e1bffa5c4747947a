"""The spans of an attempt: its run, with the task's own spans below it, and how its outcome was settled."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from services.worker.attempts.running import RunningAttempt
from taskyard.job import JobError
from taskyard.store.attempts import Outcome
from taskyard.telemetry import tracing


def begin(attempt: RunningAttempt) -> None:
    """Begin the span of an attempt's run; only where traces are recorded."""
    recorder = tracing.active()
    span = recorder.of_job(
        f"run {attempt.task}",
        "consumer",
        parent=attempt.message.traceparent,
        trace_id=attempt.message.trace_id,
        facts={
            **_facts(recorder, attempt, "run", "process"),
            "taskyard.waited_ms": attempt.waited_ms,
            "taskyard.origin": attempt.message.options.origin,
        },
    )
    attempt.span = span
    span.enter()


def end(attempt: RunningAttempt, error: BaseException | None) -> None:
    """End the span of an attempt's run, with the type of `error` if the task raised it."""
    span = attempt.span
    if span is None:
        return
    span.leave()
    if error is not None:
        span.fail(type(error).__name__)
    attempt.ran_until_ns = time.time_ns()
    span.end(attempt.ran_until_ns)


def settled(entries: Sequence[tuple[Outcome, RunningAttempt]], accepted: Sequence[bool]) -> None:
    """Record how outcomes were settled: a span each, from the task's end until now."""
    recorder = tracing.active()
    if recorder is None:
        return
    for (outcome, attempt), is_accepted in zip(entries, accepted, strict=True):
        _settled(recorder, outcome, attempt, is_accepted=is_accepted)


def _settled(
    recorder: Any, outcome: Outcome, attempt: RunningAttempt, *, is_accepted: bool
) -> None:
    run = attempt.span
    parent = attempt.message.traceparent if run is None else run.traceparent
    facts = {**_facts(recorder, attempt, "settle", "settle"), "taskyard.outcome": outcome.kind}
    if outcome.kind == "retrying":
        facts["taskyard.retry_delay_ms"] = outcome.delay_ms
    if outcome.error:
        facts["taskyard.reason"] = msgspec.json.decode(outcome.error, type=JobError).reason
    span = recorder.of_job(
        f"settle {attempt.queue_name}",
        "client",
        parent=parent,
        trace_id=attempt.message.trace_id,
        facts=facts,
        start_ns=attempt.ran_until_ns,
    )
    if not is_accepted:
        span.fail("stale")
    span.end()
    if run is not None:
        run.end()  # one that was given up still runs


def _facts(recorder: Any, attempt: RunningAttempt, operation: str, kind: str) -> dict[str, Any]:
    return {
        **recorder.message(attempt.queue_name, attempt.task, operation, kind),
        "messaging.message.id": attempt.id,
        "taskyard.attempt": attempt.number,
    }
