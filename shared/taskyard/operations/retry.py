"""Bringing ended jobs back: an operator's retry of one, and each batch of a replay."""

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from taskyard.dispatcher import Dispatcher
from taskyard.errors import TaskyardError
from taskyard.message import revived
from taskyard.store.dead_letters import Revivable, Revival, Revived
from taskyard.store.jobs import Ready
from taskyard.telemetry.metrics import JOBS_REVIVED

logger = logging.getLogger(__name__)


def revive(
    dispatcher: Dispatcher,
    ids: Sequence[str],
    *,
    replay_id: str = "",
    edit: dict[str, Any] | None = None,
    must_connect: bool = False,
) -> list[Revived]:
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
    found = {job.id: job for job in dispatcher.store.revivable(ids)}
    jobs = [_revival(found.get(each), each, edit) for each in ids]
    answers = dispatcher.store.retry(jobs, replay_id=replay_id)
    bodies = {job.id: job for job in jobs}
    retried = [job for job in answers if job.verdict == "retried"]
    for job in retried:
        JOBS_REVIVED.labels(job.queue).inc()
    ready = [_ready(bodies[job.id], job) for job in retried]
    if ready and (must_connect or dispatcher.publisher.is_ready):
        with contextlib.suppress(TaskyardError):
            dispatcher.publish(ready)
    return answers


def _revival(job: Revivable | None, job_id: str, edit: dict[str, Any] | None) -> Revival:
    if job is None:
        return Revival(job_id, 0, "")  # the store says what is wrong with it
    try:
        return Revival(job.id, job.attempts_made, revived(job.body, job.attempts_made, edit))
    except ValueError:
        logger.exception("unreadable record", extra={"job_id": job.id})
        return Revival(job.id, job.attempts_made, job.body)


def _ready(job: Revival, answer: Revived) -> Ready:
    now_ms = answer.now_ms
    return Ready(job.id, answer.queue, job.body, job.attempts_made + 1, now_ms, now_ms)
