"""The routes of replays: run the jobs of dead letters again, and see how far that is."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator

from services.api.auth.principal import current
from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.paging import CursorQuery, PagedList
from services.api.http.queries import parameters
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.derived import schema_of, schemas_of
from services.api.openapi.shapes import Schema, page_of
from services.api.routes import letter_selection
from services.api.routes.letter_selection import Selection
from taskyard.dead_letters.document import ReplayDocument, replay_document
from taskyard.dead_letters.selection import found_replay
from taskyard.errors import ReplayNotFound
from taskyard.operations import dead_letters as operations
from taskyard.request import Whole, validated
from taskyard.store.dead_letters import DeadLetter
from taskyard.store.replays import Replay

blueprint = APIBlueprint("replays", __name__)

_REPLAYS = PagedList("replays")


class ReplayRequest(Selection):
    """Dead letters whose jobs are to run again."""

    rate_per_s: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = Field(
        default=None, description="Jobs a second. Default: as fast as it goes."
    )
    canary: Annotated[int, Field(ge=0, le=1000), Whole] = Field(
        default=0, description="So many first; the others only if all of these complete."
    )
    args: list[Any] | None = Field(default=None, description="New arguments, for a single id.")
    kwargs: dict[str, Any] | None = Field(default=None, description="Likewise.")

    @property
    def has_edit(self) -> bool:
        """Whether the job's arguments are to change."""
        return self.args is not None or self.kwargs is not None

    @model_validator(mode="after")
    def _edit_of_one(self) -> "ReplayRequest":
        if self.has_edit and len(self.ids or ()) != 1:
            raise ValueError("args and kwargs can be changed for a single id only")
        return self


SCHEMAS: dict[str, Schema] = {
    **schemas_of(Replay=ReplayDocument),
    "ReplayList": page_of("Replay"),
    "ReplayRequest": schema_of(ReplayRequest),
}
INPUTS = {
    ("get", "/v1/dead-letters/replays"): describe.Input(parameters=parameters(CursorQuery)),
    ("post", "/v1/dead-letters/replay"): describe.Input("ReplayRequest"),
}
_TAGS = ["Dead letters"]


@blueprint.post("/v1/dead-letters/replay", endpoint="replay_dead_letters")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {
            202: describe.answer("The replay has started.", "Replay", "Location"),
            200: describe.answer("A dry run: how many.", "DeadLetterCount"),
        }
    ),
)
def replay() -> Response:
    """Run the jobs of dead letters again.

    They are those that fit now, without those that never were jobs. With `dry_run` they are only
    counted.
    """
    data = bodies.json_object(context().settings.payload_max_bytes)
    request = validated(ReplayRequest, data)
    edit = None
    if request.has_edit:
        edit = operations.edit_of(actor(), _only_letter(request), request.args, request.kwargs)
    steps = letter_selection.selected(request, jobs_only=True)
    if request.dry_run:
        return reply({"matched": sum(map(len, steps)), "done": 0})
    started = operations.replay(
        actor(),
        steps,
        request={**_shown(request, data), **_within()},
        ids=request.ids,
        wanted=letter_selection.store_filter(request),
        rate_per_s=request.rate_per_s,
        canary=request.canary,
        edit=edit,
    )
    shown = replay_document(started)
    return reply(shown, 202, headers={"Location": shown["links"]["self"]})


@blueprint.get("/v1/dead-letters/replays", endpoint="replays")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers({200: describe.answer("A page.", "ReplayList", "Link")}),
)
def list_replays() -> Response:
    """List the newest hundred replays; each is kept for 30 days after its end.

    A page ends at about 8 MiB: go on with `cursor` until there is none.
    """
    found, end = context().store.newest_replays(_REPLAYS.start())
    entries = (
        ((each.created_at_ms, each.id), replay_document(each) if _is_own(each) else None)
        for each in found
    )
    return _REPLAYS.bounded_page(entries, end)


@blueprint.get("/v1/dead-letters/replays/<replay_id>", endpoint="replay")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {200: describe.answer("The replay.", "Replay")}, HTTPStatus.NOT_FOUND
    ),
)
def show_replay(replay_id: str) -> Response:
    """Return a replay, with its progress."""
    return reply(replay_document(_replay(replay_id)))


@blueprint.post("/v1/dead-letters/replays/<replay_id>/stop", endpoint="stop_replay")
@blueprint.doc(
    tags=_TAGS,
    responses=describe.answers(
        {200: describe.answer("The replay; it takes no more jobs.", "Replay")}, HTTPStatus.NOT_FOUND
    ),
)
def stop_replay(replay_id: str) -> Response:
    """Stop a replay; what it has brought back goes on, and one that has ended stays as it is."""
    stopped = operations.stop_replay(actor(), _replay(replay_id))
    return reply(replay_document(stopped))


def _shown(request: ReplayRequest, data: dict[str, Any]) -> dict[str, Any]:
    """Return the request as it may be shown: it is kept for that."""
    if not request.has_edit:
        return data
    task = _only_letter(request).task
    shown = context().catalogue.shown({"task": task, "args": [], "kwargs": {}, **data})
    return {name: shown[name] for name in data}


def _replay(replay_id: str) -> Replay:
    found = found_replay(context().store, replay_id)
    if not _is_own(found):
        raise ReplayNotFound(replay_id)
    return found


def _within() -> dict[str, Any]:
    """Return what is noted of a bound key's replay: it was kept within these."""
    principal = current()
    if not principal.is_bound:
        return {}
    return {"within": {"tasks": principal.tasks, "queues": principal.queues}}


def _is_own(replay: Replay) -> bool:
    """Return whether the caller's key may access all jobs that the replay may run again."""
    principal = current()
    if not principal.is_bound:
        return True
    within = msgspec.json.decode(replay.request).get("within", {})
    return all(
        not bound or (given and set(given) <= set(bound))
        for bound, given in (
            (principal.tasks, within.get("tasks")),
            (principal.queues, within.get("queues")),
        )
    )


def _only_letter(request: ReplayRequest) -> DeadLetter:
    """Return the dead letter of a request that edits one."""
    assert request.ids is not None
    return letter_selection.letter(request.ids[0])
