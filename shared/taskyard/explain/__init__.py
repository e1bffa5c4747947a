"""Why a job is not running, or where its time went: facts from the store, put into words and numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from taskyard.config import Settings
from taskyard.errors import JobNotFound
from taskyard.explain import limits, queueing, terminal, waits
from taskyard.explain.findings import (
    ExplainSettings,
    Finding,
    Situation,
    explain_path,
    job_path,
    slots,
)
from taskyard.explain.timeline import documents, timeline, times
from taskyard.job import TERMINAL, State, rfc3339
from taskyard.rabbitmq.inspect import BrokerState
from taskyard.schedules.rule import name_of
from taskyard.store import JobStore
from taskyard.store.explaining import Holder

__all__ = ["explain", "first_finding"]


def explain(
    store: JobStore,
    settings: Settings,
    job_id: str,
    *,
    ask_broker: Callable[[], BrokerState],
    nameable: Callable[[Sequence[Holder]], list[Holder]] = list,
) -> dict[str, Any]:
    """Return the explanation of a job, as `docs/explain.md` has it.

    Args:
        store: Where the job is.
        settings: The times that chores and workers go by.
        job_id: The job's id.
        ask_broker: Tells whether RabbitMQ takes messages; called only where that may be the reason.
        nameable: Gives those of the jobs that it waits for which may be named to who asks.

    Raises:
        JobNotFound: If there is no record of the job.
        StoreUnavailable: If the store does not answer: then nothing is known.
        StoreFault: If the record is damaged, or what the job waits for.
    """
    situation = _naming(_situation(store, settings, job_id, ask_broker), nameable)
    return document(situation, findings(situation))


def first_finding(store: JobStore, settings: Settings, job_id: str) -> Finding:
    """Return the most decisive finding about a job, without a look at RabbitMQ.

    Raises:
        JobNotFound, StoreUnavailable, StoreFault: As `explain`.
    """
    situation = _situation(store, settings, job_id, lambda: BrokerState(kind="ready"))
    return findings(situation)[0]


def findings(situation: Situation) -> list[Finding]:
    """Return what is found, the most decisive first."""
    return [*_main(situation), *_aside(situation)]


def document(situation: Situation, found: Iterable[Finding]) -> dict[str, Any]:
    """Return findings and times as they are shown: plain JSON values."""
    job, found = situation.job, list(found)
    stretches = timeline(situation.facts)
    return {
        "id": job.id,
        "task": situation.task,
        "queue": job.queue,
        "state": job.state.value,
        "blocking": any(each.is_blocking for each in found),
        "needs_action": any(each.needs_action for each in found),
        "summary": found[0].summary,
        "findings": [
            {
                "code": each.code,
                "summary": each.summary,
                "blocking": each.is_blocking,
                "needs_action": each.needs_action,
                "facts": each.facts,
                "links": each.links,
            }
            for each in found
        ],
        "times": times(stretches),
        "timeline": documents(situation.facts, stretches),
        "explained_at": rfc3339(situation.facts.now_ms),
        "links": {"self": explain_path(job.id), "job": job_path(job.id)},
    }


def _situation(
    store: JobStore, settings: Settings, job_id: str, ask_broker: Callable[[], BrokerState]
) -> Situation:
    facts = store.explain(job_id)
    if facts is None:
        raise JobNotFound(job_id)
    own_settings = ExplainSettings(
        relay_after_s=settings.relay_after_s,
        unknown_task_ttl_s=settings.unknown_task_ttl,
        task_timeout_s=settings.task_timeout,
        heartbeat_s=settings.heartbeat_s,
    )
    first = Situation(facts=facts, limits=own_settings)
    if facts.job.state is State.RUNNING or facts.job.state in TERMINAL:
        return first
    waiting = Situation(
        facts=facts,
        limits=own_settings,
        workers=store.workers(),
        broker=ask_broker() if waits.is_in_doubt(first) else None,
    )
    return _with_queue(store, waiting) if facts.job.state is State.PENDING else waiting


def _naming(
    situation: Situation, nameable: Callable[[Sequence[Holder]], list[Holder]]
) -> Situation:
    facts, limit = situation.facts, situation.facts.limit
    if limit is not None and limit.holders:
        facts = replace(facts, limit=replace(limit, holders=nameable(limit.holders)))
    return replace(situation, facts=facts, occupants=nameable(situation.occupants))


def _with_queue(store: JobStore, waiting: Situation) -> Situation:
    have, hold = slots(waiting.capable)
    is_busy = 0 < have <= hold
    return Situation(
        facts=waiting.facts,
        limits=waiting.limits,
        workers=waiting.workers,
        broker=waiting.broker,
        ahead=store.ahead(waiting.facts),
        occupants=store.occupants([each["id"] for each in waiting.capable]) if is_busy else (),
    )


def _main(situation: Situation) -> Iterator[Finding]:
    state = situation.job.state
    if state in TERMINAL:
        yield from terminal.ended(situation)
    elif state is State.RUNNING:
        yield from terminal.running(situation)
    elif state is State.PENDING:
        yield from _ready(situation)
    else:
        yield from _waiting(situation)


def _ready(situation: Situation) -> Iterator[Finding]:
    """Give what keeps a ready job: first what holds up all of its like, then its turn.

    Every job is without a confirm for a moment: that comes last.
    """
    message = list(waits.message(situation))
    stops = [
        *limits.pauses(situation),
        *waits.parked(situation),
        *queueing.workers(situation),
        *waits.broker(situation),
        *waits.expiry(situation),
        *(each for each in message if each.is_blocking),
    ]
    yield from stops
    yield from queueing.turn(situation, is_held_up=any(each.is_blocking for each in stops))
    yield from (each for each in message if not each.is_blocking)


def _waiting(situation: Situation) -> Iterator[Finding]:
    """Give what a waiting job waits for, then what will keep it after that."""
    pauses = list(limits.pauses(situation))
    if waits.is_suspect(situation):
        yield from pauses  # its time may have come long ago
        pauses = []
    yield from waits.broker(situation)
    yield from waits.time(situation)
    yield from limits.limit(situation)
    yield from pauses
    yield from queueing.workers(situation)
    yield from waits.expiry(situation)


def _aside(situation: Situation) -> Iterator[Finding]:
    """Give what is good to know besides."""
    if situation.facts.risen is not None:
        yield queueing.risen(situation, situation.facts.risen)
    job, lock = situation.job, situation.facts.lock
    if lock is not None and lock.holder == job.id and job.state not in TERMINAL:
        yield Finding(
            code="unique_lock",
            summary="While it lives, it keeps out other jobs like it.",
            facts={"left_s": max(0, lock.left_ms) / 1000},
        )
    name = name_of(job.id) if job.message.options.origin == "schedule" else None
    if name is not None:
        yield Finding(
            code="from_schedule",
            summary=f"It was submitted by the schedule {name!r}.",
            facts={"schedule": name},
            links={"schedule": f"/v1/schedules/{name}"},
        )
