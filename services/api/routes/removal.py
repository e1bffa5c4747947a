"""The routes that take jobs away: the record of one that has ended, and all that wait in a queue."""

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT, WHOLE
from taskyard.operations import controls, jobs
from taskyard.request import validated

blueprint = APIBlueprint("removal", __name__)

#: A request goes on purging for so long; then it says how many are left. Seconds.
PURGE_MAX_S = 15.0


class QueuePurgeRequest(BaseModel):
    """How to purge a queue."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dry_run: bool = Field(default=False, description="Only count the jobs.")


SCHEMAS: dict[str, Any] = {
    "QueuePurgeRequest": QueuePurgeRequest.model_json_schema(),
    "Purge": {
        "type": "object",
        "properties": {
            "queue": TEXT,
            "dry_run": {"type": "boolean"},
            "cancelled": {**WHOLE, "description": "Jobs that were cancelled."},
            "left": {**WHOLE, "description": "Jobs that were pending and still are."},
        },
        "required": ["queue", "dry_run", "cancelled", "left"],
    },
}
INPUTS = {
    ("post", "/v1/queues/{name}/purge"): describe.Input("QueuePurgeRequest", is_body_optional=True),
}


@blueprint.delete("/v1/jobs/<job_id>")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers(
        {204: describe.nothing("The record is gone.")}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
    ),
)
def remove(job_id: str) -> Response:
    """Remove the record of a job that has ended.

    The dead letter of a failed job stays where it is.
    """
    jobs.remove(actor(), job_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@blueprint.post("/v1/queues/<name>/purge")
@blueprint.doc(
    tags=["Controls"],
    responses=describe.answers(
        {200: describe.answer("What was done.", "Purge")}, HTTPStatus.NOT_FOUND
    ),
)
def purge(name: str) -> Response:
    """Cancel all jobs that are pending in a queue now.

    What runs goes on, and what waits for its time is left. Where there is more than can be done in some
    seconds, `left` is not 0: send the request again.
    """
    cancelled, (left, _) = 0, controls.purgeable(context().store, name)
    dry_run = _body().dry_run
    if not dry_run:
        cancelled, left = controls.purge(actor(), name, max_s=PURGE_MAX_S)
    return reply({"queue": name, "dry_run": dry_run, "cancelled": cancelled, "left": left})


def _body() -> QueuePurgeRequest:
    return validated(
        QueuePurgeRequest, bodies.optional_object(context().settings.payload_max_bytes)
    )
