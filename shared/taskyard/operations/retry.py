"""Retrying ended jobs: one by an operator, or each batch of a replay."""

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from taskyard.dispatcher import Dispatcher
from taskyard.errors import TaskyardError
from taskyard.message import for_retry
from taskyard.store.dead_letters import RetryRequest, RetryResult, RetrySource
from taskyard.store.jobs import Ready
from taskyard.telemetry.metrics import OPERATOR_RETRIES

logger = logging.getLogger(__name__)


def retry_jobs(
    dispatcher: Dispatcher,
    ids: Sequence[str],
    *,
    replay_id: str = "",
    edit: dict[str, Any] | None = None,
    must_connect: bool = False,
) -> list[RetryResult]:
    """Make failed, cancelled and expired jobs pending, and publish them; return what became of each.

    The record comes first, and with it the promise: a message that cannot be published now is published by
    `relay`. The old message leaves the dead-letter queue only after the new one is confirmed.

    Args:
        dispatcher: Where the jobs are, and how they are published.
        ids: The jobs.
        replay_id: The replay that they are part of.
        edit: New `args` and `kwargs` for all of them.
        must_connect: Wait for RabbitMQ where there is no connection yet, as in a new process.

    Raises:
        StoreUnavailable: If the store does not answer; it may be called again.
    """
    found = {job.id: job for job in dispatcher.store.retry_sources(ids)}
    jobs = [_request(found.get(each), each, edit) for each in ids]
    answers = dispatcher.store.retry(jobs, replay_id=replay_id)
    bodies = {job.id: job for job in jobs}
    retried = [job for job in answers if job.verdict == "retried"]
    for job in retried:
        OPERATOR_RETRIES.labels(job.queue).inc()
    ready = [_ready(bodies[job.id], job) for job in retried]
    if ready and (must_connect or dispatcher.publisher.is_ready):
        with contextlib.suppress(TaskyardError):
            dispatcher.publish(ready)
    return answers


def _request(job: RetrySource | None, job_id: str, edit: dict[str, Any] | None) -> RetryRequest:
    if job is None:
        return RetryRequest(job_id, 0, "")  # the store says what is wrong with it
    try:
        return RetryRequest(job.id, job.attempts_made, for_retry(job.body, job.attempts_made, edit))
    except ValueError:
        logger.exception("unreadable record", extra={"job_id": job.id})
        return RetryRequest(job.id, job.attempts_made, job.body)


def _ready(job: RetryRequest, answer: RetryResult) -> Ready:
    now_ms = answer.now_ms
    return Ready(job.id, answer.queue, job.body, job.attempts_made + 1, now_ms, now_ms)
