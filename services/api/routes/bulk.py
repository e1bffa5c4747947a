"""Requests about many jobs at once, by a filter and in bounded steps; and the route that cancels them."""

from typing import Annotated, Any, TypeVar

import msgspec
from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.errors import InvalidCursor
from services.api.http.filters import JobFilter
from services.api.http.paging import PagedList
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT, WHOLE
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.operations import jobs
from taskyard.operations.bulk import count_living
from taskyard.request import Whole, validated
from taskyard.store.finding import Cursor

blueprint = APIBlueprint("bulk", __name__)


class BulkRequest(BaseModel):
    """Which jobs, and how many of them at once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filter: JobFilter = Field(
        description="Which jobs; at least one field. Those in other states than can be changed stay."
    )
    dry_run: bool = Field(default=False, description="Only say how many there are.")
    limit: Annotated[int, Field(ge=1, le=10_000), Whole] = Field(
        default=1000, description="How many at most with this request."
    )
    cursor: str | None = Field(
        default=None, description="Where to go on: the `cursor` of the answer before."
    )


class CancelRequest(BulkRequest):
    """Which jobs to cancel."""


Bulk = TypeVar("Bulk", bound=BulkRequest)
#: What its cursors are of.
_JOBS = PagedList("jobs in bulk")
_BOOLEAN = {"type": "boolean"}
_COMPLETE = "False: there may be more; go on with `cursor`, if it is there."


def outcome(matching: str, **counts: str) -> dict[str, Any]:
    """Return the schema of an answer; `matching` and `counts` describe its numbers."""
    numbers = {name: {**WHOLE, "description": text} for name, text in counts.items()}
    description = "Goes on from here; null: that was all."
    cursor = {"anyOf": [TEXT, {"type": "null"}], "description": description}
    return {
        "type": "object",
        "properties": {
            "dry_run": _BOOLEAN,
            "matching": {**WHOLE, "description": matching},
            **numbers,
            "is_complete": {**_BOOLEAN, "description": _COMPLETE},
            "cursor": cursor,
        },
        "required": ["dry_run", *numbers, "is_complete", "cursor"],
    }


def request_schema(model: type[BulkRequest]) -> dict[str, Any]:
    """Return a model's schema; the filter in it is that of the document."""
    schema = {k: v for k, v in model.model_json_schema().items() if k != "$defs"}
    text = msgspec.json.encode(schema).decode()
    moved: dict[str, Any] = msgspec.json.decode(text.replace("#/$defs/", "#/components/schemas/"))
    return moved


SCHEMAS = {
    "CancelRequest": request_schema(CancelRequest),
    "Cancellation": outcome(
        "With dry_run: jobs that would be cancelled.",
        cancelled="Jobs that will not run.",
        requested="Jobs that run, and were asked to stop.",
        too_late="Jobs that ended meanwhile.",
    ),
}
INPUTS = {("post", "/v1/jobs/cancel"): describe.Input("CancelRequest")}


@blueprint.post("/v1/jobs/cancel")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers({200: describe.answer("What was done.", "Cancellation")}),
)
def cancel_many() -> Response:
    """Cancel all jobs that fit a filter, or with `dry_run` count them.

    Each request does a bounded amount of work. Send it again, with the `cursor` that it answered,
    until `is_complete`. Sent again without one it begins anew, which does no harm.
    """
    request = read_request(CancelRequest)
    store_filter = request.filter.store_filter()
    if request.dry_run:
        found = count_living(context().store, store_filter)
        numbers = {"matching": found.count, "cancelled": 0, "requested": 0, "too_late": 0}
        return answer(numbers, None, is_complete=found.is_complete)
    done = jobs.cancel_found(actor(), store_filter, cursor=cursor_of(request), limit=request.limit)
    numbers = {name: getattr(done, name) for name in ("cancelled", "requested", "too_late")}
    return answer(numbers, done.cursor, is_complete=done.cursor is None)


def read_request(model: type[Bulk]) -> Bulk:
    """Return the request in the body.

    Raises:
        InvalidSubmission: With every field that is wrong, or if it would mean all jobs.
    """
    request = validated(model, bodies.json_object(context().settings.payload_max_bytes))
    if request.filter.is_empty:
        text = "say which jobs: an empty filter would mean all of them"
        raise InvalidSubmission([Fault("/filter", "empty", text)])
    return request


def cursor_of(request: BulkRequest) -> Cursor | None:
    """Return where a request goes on.

    Raises:
        InvalidSubmission: If its cursor is no good.
    """
    try:
        return _JOBS.opened(request.cursor)
    except InvalidCursor as error:
        raise InvalidSubmission([Fault("/cursor", "invalid", error.detail)]) from None


def answer(numbers: dict[str, int], cursor: Cursor | None, *, is_complete: bool) -> Response:
    """Return the answer; that of a dry run has `matching` among its numbers."""
    return reply(
        {
            "dry_run": "matching" in numbers,
            **numbers,
            "is_complete": is_complete,
            "cursor": _JOBS.sealed(cursor),
        }
    )
