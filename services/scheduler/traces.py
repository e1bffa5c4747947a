"""The spans of the scheduler's work for jobs, each in the trace of its job."""

from collections.abc import Sequence

from services.scheduler.chores.lost_jobs import LostJob
from services.scheduler.intake.received import ReceivedSubmission
from taskyard.message import decode
from taskyard.rabbitmq.topology import INTAKE_QUEUE
from taskyard.store.jobs import Ready
from taskyard.telemetry import trace_context, tracing


def dispatched(jobs: Sequence[Ready], operation: str, started_ns: int) -> None:
    """Tell of pending jobs whose messages were published between `started_ns` and now.

    Those that are looked at every other second, until a worker knows their task, are none of them.
    """
    recorder = tracing.active()
    if recorder is None:
        return
    for job in jobs:
        if job.is_parked:
            continue
        try:
            message = decode(job.body)
        except ValueError:
            continue
        recorder.of_job(
            f"{operation} {job.queue}",
            "producer",
            parent=message.traceparent,
            trace_id=message.trace_id,
            facts={
                **recorder.message(job.queue, message.task, operation, "send"),
                "messaging.message.id": job.id,
                "taskyard.attempt": job.attempt,
                "taskyard.late_ms": max(0, job.now_ms - job.due_at_ms),
            },
            start_ns=started_ns,
        ).end()


def reclaimed(case: LostJob) -> None:
    """Record the end of an attempt whose worker is gone."""
    lost, message = case.lost, case.message
    recorder = tracing.active()
    if recorder is None or message is None:
        return
    span = recorder.of_job(
        f"reclaim {lost.queue}",
        "client",
        parent=message.traceparent,
        trace_id=message.trace_id,
        facts={
            **recorder.message(lost.queue, case.task, "reclaim", "settle"),
            "messaging.message.id": lost.id,
            "taskyard.attempt": lost.attempt,
            "taskyard.worker": lost.worker,
            "taskyard.ran_ms": lost.ran_ms,
            "taskyard.outcome": case.decision.outcome.kind,
            "taskyard.reason": case.error.reason,
        },
    )
    span.fail(case.error.type)
    span.end()


def begin(submission: ReceivedSubmission) -> None:
    """Begin the span of a submission over AMQP, for its jobs to be below."""
    caller = trace_context.valid(submission.headers.get("traceparent"))
    submission.traceparent = caller
    recorder = tracing.active()
    if recorder is None:
        return
    facts = recorder.message(INTAKE_QUEUE, "", "process", "process")
    submission.span = recorder.of_job(
        f"process {INTAKE_QUEUE}",
        "consumer",
        parent=caller,
        trace_id=trace_context.trace_id(caller, submission.id),
        facts={**facts, "messaging.message.id": submission.id},
    )
    submission.traceparent = submission.span.traceparent or caller


def accepted(submission: ReceivedSubmission, job_ids: Sequence[str]) -> None:
    """End it, with its jobs."""
    if submission.span is not None:
        facts = {"messaging.batch.message_count": len(job_ids), "taskyard.job.id": job_ids[0]}
        submission.span.set(facts)
        submission.span.end()


def refused(submission: ReceivedSubmission, code: str) -> None:
    """End it, with an error."""
    if submission.span is not None:
        submission.span.fail(code)
        submission.span.end()
