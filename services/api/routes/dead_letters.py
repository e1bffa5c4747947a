"""The routes of dead letters: list, group and purge them, and submit what never was a job, corrected."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.context import context
from services.api.http import bodies, paging, submitted
from services.api.http.recording import recording
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.routes import chosen_letters
from services.api.routes.dead_letter_inputs import PARAMETERS, PurgeRequest, query_filter
from services.api.routes.dead_letter_schemas import SCHEMAS as SCHEMAS
from taskyard.dead_letters.document import group_document, letter_document
from taskyard.dead_letters.selection import cut_fault, page
from taskyard.dead_letters.selection import purge as purge_letters
from taskyard.errors import Fault, InvalidSubmission
from taskyard.request import new_job, validated
from taskyard.telemetry import metrics
from taskyard.telemetry.tracing import Publishing

blueprint = APIBlueprint("dead_letters", __name__)

INPUTS = {
    ("get", "/v1/dead-letters"): describe.Input(parameters=PARAMETERS),
    ("get", "/v1/dead-letters/groups"): describe.Input(parameters=(paging.LIMIT, paging.CURSOR)),
    ("post", "/v1/dead-letters/purge"): describe.Input("PurgeRequest"),
    ("post", "/v1/dead-letters/{letter_id}/resubmit"): describe.Input("JobRequest"),
}


_TAGS = ["Dead letters"]


@blueprint.get("/v1/dead-letters", endpoint="dead_letters")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers({200: describe.answer("The dead letters.", "DeadLetterPage")}),
)
def list_letters() -> Response:
    """List dead letters, the newest first.

    A page may be short and yet not be the last: go on with `next` until there is none.
    """
    of = "dead letters"
    found, cursor = page(context().store, query_filter(), paging.limit(), paging.cursor(of))
    letters = context().store.dead_letters([each for each, _ in found])
    entries = (
        (
            (at_ms, each),
            letter_document(letter, context().catalogue)
            if letter and chosen_letters.is_authorized(letter)
            else None,
        )
        for (each, at_ms), letter in zip(found, letters, strict=True)
    )
    items, cursor = paging.within(entries, cursor)
    return reply({"items": items, "next": paging.sealed(cursor, of)})


@blueprint.get("/v1/dead-letters/groups", endpoint="dead_letter_groups")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers({200: describe.answer("The groups.", "DeadLetterGroupPage")}),
)
def list_groups() -> Response:
    """List groups of dead letters that died of the same, the latest first."""
    of = "groups of dead letters"
    groups, cursor = context().store.dead_groups(paging.limit(), paging.cursor(of))
    entries = (
        (
            (group.last_seen_ms, group.fingerprint),
            group_document(group, context().catalogue)
            if chosen_letters.is_authorized(group.example)
            else None,
        )
        for group in groups
    )
    items, cursor = paging.within(entries, cursor)
    return reply({"items": items, "next": paging.sealed(cursor, of)})


@blueprint.get("/v1/dead-letters/<letter_id>", endpoint="dead_letter")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {200: describe.answer("The dead letter.", "DeadLetter")}, HTTPStatus.NOT_FOUND
    ),
)
def show(letter_id: str) -> Response:
    """Return a dead letter."""
    return reply(letter_document(chosen_letters.letter(letter_id), context().catalogue))


@blueprint.post("/v1/dead-letters/purge", endpoint="purge_dead_letters")
@blueprint.doc(
    tags=_TAGS, responses=describe.answers({200: describe.answer("How many.", "DeadLetterCount")})
)
def purge() -> Response:
    """Remove dead letters for good, and the records of their jobs.

    With `dry_run` they are only counted.
    """
    asked = validated(PurgeRequest, bodies.json_object(context().settings.payload_max_bytes))
    steps = chosen_letters.chosen(asked, jobs_only=False)
    if asked.dry_run:
        return reply({"matched": sum(map(len, steps)), "done": 0})
    with recording("dead_letters.purge", before=chosen_letters.told(asked)) as entry:
        matched, done = purge_letters(context().store, steps)
        entry.after = {"removed": done}
        if not done:
            entry.void()
    return reply({"matched": matched, "done": done})


@blueprint.post("/v1/dead-letters/<letter_id>/resubmit", endpoint="resubmit_dead_letter")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {
            202: describe.answer("The job is recorded.", "Job", "Location"),
            200: describe.answer(
                "A job of this id, or a unique one like it, was there.", "JobOrState", "Location"
            ),
        },
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
    ),
)
def resubmit(letter_id: str) -> Response:
    """Submit a corrected job in place of a message that never was one.

    The body is that of a submission. Its `id` is by default the dead letter's, so a repeated request is the
    same job. The dead letter goes once the job is recorded.
    """
    letter = chosen_letters.letter(letter_id)
    if letter.is_job:
        text = "this dead letter is a job: replay it, with new args if need be"
        raise InvalidSubmission([Fault("", "is_a_job", text)])
    if letter.is_cut:
        raise InvalidSubmission([cut_fault(letter)])
    max_bytes = context().settings.payload_max_bytes
    data = bodies.json_object(max_bytes)
    bindings.check_submission(data)
    request, defaults = context().catalogue.check({"id": letter.id, **data})
    with Publishing("", request.task, parent=bodies.traceparent()) as publishing:
        job = new_job(
            request,
            defaults,
            origin="api",
            payload_max_bytes=max_bytes,
            traceparent=publishing.traceparent,
        )
        before = {"reason": letter.reason}
        with recording("dead_letter.resubmit", letter.id, before=before) as entry:
            created = context().wait_slots.dispatch(job)
            context().store.purge_dead([letter.id])
            entry.after = {"job": created.id, "task": job.task, "queue": job.queue}
        publishing.made(created.id, job.queue, is_new=created.is_new)
    submitted.log_job(job, created, publishing.traceparent)
    if created.is_new:
        metrics.JOBS_SUBMITTED.labels(job.queue, job.task, "api").inc()
    return submitted.answer(created)
