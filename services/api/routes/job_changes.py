"""The routes of waiting jobs: change one, or run it now."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from taskyard.operations import waiting
from taskyard.operations.waiting import ChangeRequest

blueprint = APIBlueprint("waiting", __name__)

SCHEMAS = {"ChangeRequest": ChangeRequest.model_json_schema()}
INPUTS = {("patch", "/v1/jobs/{job_id}"): describe.Input("ChangeRequest")}
_CHANGED = describe.answers(
    {200: describe.answer("The job as it is now.", "Job")},
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
)
_RUN_NOW = describe.answers(
    {200: describe.answer("The job is due.", "Job")}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT
)


@blueprint.patch("/v1/jobs/<job_id>")
@blueprint.doc(tags=["Jobs"], responses=_CHANGED)
def change(job_id: str) -> Response:
    """Change a job that waits: its time, priority or arguments.

    Only while it is scheduled or retrying; later the answer is `too_late`. What is changed holds for
    its next attempt, and all after it. A secret argument that is sent back as `***` stays as it is.
    """
    data = bodies.json_object(context().settings.payload_max_bytes)
    return reply(context().catalogue.document(waiting.change(actor(), job_id, data)))


@blueprint.post("/v1/jobs/<job_id>/run-now")
@blueprint.doc(tags=["Jobs"], responses=_RUN_NOW)
def run_now(job_id: str) -> Response:
    """Make a waiting job due at once, as if its time had come.

    One that a limit or a pause holds back goes on waiting for it.
    """
    return reply(context().catalogue.document(waiting.run_now(actor(), job_id)))
