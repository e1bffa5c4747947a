"""The routes of dead letters: list, group and purge them, and submit what never was a job, corrected."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.context import context
from services.api.http import bodies, submitted
from services.api.http.actor import actor
from services.api.http.paging import PagedList, PageQuery
from services.api.http.queries import from_query, parameters
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.derived import schema_of, schemas_of
from services.api.openapi.shapes import WHOLE, Schema, page_of, record
from services.api.routes import letter_selection
from services.api.routes.letter_selection import LetterFilter, Selection
from taskyard.dead_letters.document import (
    GroupDocument,
    LetterDocument,
    group_document,
    letter_document,
)
from taskyard.dead_letters.selection import page
from taskyard.operations import dead_letters as operations
from taskyard.request import validated

blueprint = APIBlueprint("dead_letters", __name__)

_LETTERS = PagedList("dead letters")
_GROUPS = PagedList("groups of dead letters")


class LetterQuery(LetterFilter, PageQuery):
    """A page of the dead letters that fit."""


class PurgeRequest(Selection):
    """Dead letters to remove for good."""


SCHEMAS: dict[str, Schema] = {
    **schemas_of(DeadLetter=LetterDocument, DeadLetterGroup=GroupDocument),
    "DeadLetterPage": page_of("DeadLetter"),
    "DeadLetterGroupPage": page_of("DeadLetterGroup"),
    "DeadLetterCount": record(
        matched={**WHOLE, "description": "How many fit."},
        done={**WHOLE, "description": "How many were taken; 0 for a dry run."},
    ),
    "PurgeRequest": schema_of(PurgeRequest),
}
INPUTS = {
    ("get", "/v1/dead-letters"): describe.Input(parameters=parameters(LetterQuery)),
    ("get", "/v1/dead-letters/groups"): describe.Input(parameters=parameters(PageQuery)),
    ("post", "/v1/dead-letters/purge"): describe.Input("PurgeRequest"),
    ("post", "/v1/dead-letters/{letter_id}/resubmit"): describe.Input("JobRequest"),
}


_TAGS = ["Dead letters"]


@blueprint.get("/v1/dead-letters", endpoint="dead_letters")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers({200: describe.answer("A page.", "DeadLetterPage", "Link")}),
)
def list_letters() -> Response:
    """List dead letters, the newest first.

    A page may be short and yet not be the last: go on with `cursor`, or the link `next`, until there is none.
    """
    query: LetterQuery = from_query(LetterQuery)
    found, end = page(context().store, query.filter(), query.limit, _LETTERS.start())
    letters = context().store.dead_letters([each for each, _ in found])
    entries = (
        (
            (at_ms, each),
            letter_document(letter, context().catalogue)
            if letter and letter_selection.is_authorized(letter)
            else None,
        )
        for (each, at_ms), letter in zip(found, letters, strict=True)
    )
    return _LETTERS.bounded_page(entries, end)


@blueprint.get("/v1/dead-letters/groups", endpoint="dead_letter_groups")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers({200: describe.answer("A page.", "DeadLetterGroupPage", "Link")}),
)
def list_groups() -> Response:
    """List dead letters grouped by failure, the latest first."""
    query: PageQuery = from_query(PageQuery)
    groups, end = context().store.dead_groups(query.limit, _GROUPS.start())
    entries = (
        (
            (group.last_seen_ms, group.fingerprint),
            group_document(group, context().catalogue)
            if letter_selection.is_authorized(group.example)
            else None,
        )
        for group in groups
    )
    return _GROUPS.bounded_page(entries, end)


@blueprint.get("/v1/dead-letters/<letter_id>", endpoint="dead_letter")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {200: describe.answer("The dead letter.", "DeadLetter")}, HTTPStatus.NOT_FOUND
    ),
)
def show(letter_id: str) -> Response:
    """Return a dead letter."""
    return reply(letter_document(letter_selection.letter(letter_id), context().catalogue))


@blueprint.post("/v1/dead-letters/purge", endpoint="purge_dead_letters")
@blueprint.doc(
    tags=_TAGS, responses=describe.answers({200: describe.answer("How many.", "DeadLetterCount")})
)
def purge() -> Response:
    """Remove dead letters for good, and the records of their jobs.

    With `dry_run` they are only counted.
    """
    request = validated(PurgeRequest, bodies.json_object(context().settings.payload_max_bytes))
    steps = letter_selection.selected(request, jobs_only=False)
    if request.dry_run:
        return reply({"matched": sum(map(len, steps)), "done": 0})
    wanted = letter_selection.store_filter(request)
    matched, done = operations.purge(actor(), steps, ids=request.ids, wanted=wanted)
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
    letter = letter_selection.letter(letter_id)
    data = bodies.json_object(context().settings.payload_max_bytes)
    bindings.check_submission(data)
    made = operations.resubmit(
        actor(), letter, data, context().wait_slots.dispatch, parent=bodies.traceparent()
    )
    submitted.log_job(made.job, made.created, made.traceparent)
    return submitted.answer(made.created)
