"""What an operator does to dead letters: replay and purge them, and resubmit one corrected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from taskyard.dead_letters import selection
from taskyard.dead_letters.selection import Step, cut_fault, found_replay
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.message import new_id
from taskyard.operations.actor import Actor, Submit, Submitted
from taskyard.operations.facts import letter_facts
from taskyard.store.dead_letters import DeadLetter, DeadLetterFilter
from taskyard.store.replays import NewReplay, Replay
from taskyard.telemetry.tracing import Publishing


def purge(
    actor: Actor,
    steps: Iterable[Step],
    *,
    ids: Sequence[str] | None = None,
    wanted: DeadLetterFilter,
) -> tuple[int, int]:
    """Remove dead letters for good, with the records of their jobs.

    Args:
        actor: Who does it.
        steps: Which ones, as `selection` gives them.
        ids: The ids that were given, for the audit log.
        wanted: Or the filter.

    Returns:
        How many there were, and how many were removed.
    """
    with actor.recording("dead_letters.purge", before=letter_facts(ids, wanted)) as entry:
        matched, removed = selection.purge(actor.store, steps)
        entry.after = {"removed": removed}
        if not removed:
            entry.void()
    return matched, removed


def replay(
    actor: Actor,
    steps: Iterable[Step],
    *,
    request: Mapping[str, Any],
    ids: Sequence[str] | None = None,
    wanted: DeadLetterFilter,
    rate_per_s: float | None = None,
    canary: int = 0,
    edit: Mapping[str, Any] | None = None,
) -> Replay:
    """Start a replay: the schedulers run the jobs of dead letters again.

    Args:
        actor: Who does it.
        steps: Which ones, as `selection` gives them.
        request: What was asked for, as the replay shows it.
        ids: The ids that were given, for the audit log.
        wanted: Or the filter.
        rate_per_s: Jobs a second; None: as fast as it goes.
        canary: So many first, the others only if all of these complete.
        edit: New `args` and `kwargs` for the only job, as `edit_of` gives them.
    """
    new = NewReplay(
        id=new_id(),
        request=msgspec.json.encode(request).decode(),
        rate_per_s=rate_per_s or 0,
        canary=canary,
        edit=msgspec.json.encode(edit).decode() if edit else "",
    )
    with actor.recording("replay.start", new.id, before=letter_facts(ids, wanted)) as entry:
        started = selection.start_replay(actor.store, new, steps)
        facts = {"jobs": started.total, "rate_per_s": rate_per_s, "canary": canary}
        entry.after = {**facts, "changed": list(edit)} if edit else facts
    return started


def edit_of(
    actor: Actor, letter: DeadLetter, args: list[Any] | None, kwargs: dict[str, Any] | None
) -> dict[str, Any]:
    """Return new arguments for the job of a dead letter, checked against its task's signature.

    A secret argument that is given as it is shown stays as it is.

    Args:
        actor: Who wants them.
        letter: The dead letter.
        args: All positional arguments; None: as they are.
        kwargs: All keyword arguments; None: as they are.

    Raises:
        InvalidSubmission: If they do not fit, or there is no such job.
    """
    found = actor.store.retry_sources([letter.id])
    if not letter.is_job or not found:
        raise InvalidSubmission([Fault("/ids/0", "not_a_job", "its arguments cannot be changed")])
    old = msgspec.json.decode(found[0].body)
    kept = (old["args"], old["kwargs"])
    new_args, new_kwargs = actor.catalogue.restored(letter.task, (args or [], kwargs or {}), kept)
    edit: dict[str, Any] = {} if args is None else {"args": new_args}
    edit |= {} if kwargs is None else {"kwargs": new_kwargs}
    arguments = {name: old[name] for name in ("args", "kwargs")} | edit
    actor.catalogue.check({"task": letter.task, **arguments})
    return edit


def stop_replay(actor: Actor, replay: Replay) -> Replay:
    """Stop a replay and return it; what it has brought back goes on, and one that has ended stays as it is.

    Raises:
        ReplayNotFound: If it was removed meanwhile.
    """
    before = {"state": replay.state}
    with actor.recording("replay.stop", replay.id, before=before) as entry:
        actor.store.stop_replay(replay.id)
        stopped = found_replay(actor.store, replay.id)
        entry.after = {"state": stopped.state, "replayed": stopped.replayed}
        if stopped.state == replay.state:
            entry.void()
    return stopped


def resubmit(
    actor: Actor,
    letter: DeadLetter,
    data: Mapping[str, Any],
    submit: Submit,
    *,
    parent: str | None = None,
) -> Submitted:
    """Submit a corrected job in place of a message that never was one; the dead letter goes then.

    Args:
        actor: Who does it.
        letter: The message's dead letter.
        data: A submission; its `id` is by default the dead letter's, so that a repetition is the same job.
        submit: What records and publishes the job.
        parent: The caller's trace context.

    Raises:
        InvalidSubmission: If the dead letter is a job or not kept as a whole, or the submission is wrong.
        NotUnique: If a job like it lives, and the task's policy is to reject.
        Unavailable: If the store or RabbitMQ did not answer in time.
    """
    from taskyard.job_creation import new_job
    from taskyard.telemetry import metrics

    if letter.is_job:
        text = "this dead letter is a job: replay it, with new args if need be"
        raise InvalidSubmission([Fault("", "is_a_job", text)])
    if letter.is_cut:
        raise InvalidSubmission([cut_fault(letter)])
    request, defaults = actor.catalogue.check({"id": letter.id, **data})
    with Publishing("", request.task, parent=parent) as publishing:
        job = new_job(
            request,
            defaults,
            origin="api",
            payload_max_bytes=actor.settings.payload_max_bytes,
            traceparent=publishing.traceparent,
        )
        before = {"reason": letter.reason}
        with actor.recording("dead_letter.resubmit", letter.id, before=before) as entry:
            created = submit(job)
            actor.store.purge_dead([letter.id])
            entry.after = {"job": created.id, "task": job.task, "queue": job.queue}
        publishing.made(created.id, job.queue, is_new=created.is_new)
    if created.is_new:
        metrics.JOBS_SUBMITTED.labels(job.queue, job.task, "api").inc()
    return Submitted(job, created, publishing.traceparent)
