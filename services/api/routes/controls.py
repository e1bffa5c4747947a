"""The routes by which an operator pauses tasks and queues, and sets the limits of tasks."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT, TIME
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.operations import controls
from taskyard.policy import limits
from taskyard.request import Integer, validated
from taskyard.store.controls import Kind, Limits

blueprint = APIBlueprint("controls", __name__)


class PauseRequest(BaseModel):
    """What may be said of a pause."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(
        default="",
        max_length=controls.MAX_REASON_CHARS,
        description="Why it is paused, for others to see.",
    )


class LimitsRequest(BaseModel):
    """The limits of a task; null is no limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    concurrency: Integer | None = Field(description="Jobs that run at a time, over all workers.")
    rate: str | None = Field(
        description="Jobs that start within a time: `100/m`, `5/10s`, `1000/h`.", examples=["100/m"]
    )


_LIMITS = {
    "concurrency": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "rate": {"anyOf": [TEXT, {"type": "null"}]},
}
SCHEMAS = {
    "PauseRequest": PauseRequest.model_json_schema(),
    "LimitsRequest": LimitsRequest.model_json_schema(),
    "Pause": {
        "type": "object",
        "description": "Since when it is paused, by whom, and why.",
        "properties": {"at": TIME, "by": TEXT, "reason": TEXT},
        "required": ["at", "reason"],
    },
    "Limits": {
        "type": "object",
        "properties": {
            "task": TEXT,
            **_LIMITS,
            "is_set": {
                "type": "boolean",
                "description": "Whether an operator set them; else they are what the task declares.",
            },
            "declared": {
                "type": "object",
                "description": "What the task declares: it holds once what was set is deleted.",
                "properties": _LIMITS,
                "required": [*_LIMITS],
            },
        },
        "required": ["task", *_LIMITS, "is_set", "declared"],
    },
    "Paused": {
        "type": "object",
        "properties": {
            "name": TEXT,
            "paused": {"anyOf": [{"$ref": "#/components/schemas/Pause"}, {"type": "null"}]},
        },
        "required": ["name", "paused"],
    },
}
INPUTS = {
    ("post", "/v1/tasks/{name}/pause"): describe.Input("PauseRequest", is_body_optional=True),
    ("post", "/v1/queues/{name}/pause"): describe.Input("PauseRequest", is_body_optional=True),
    ("put", "/v1/tasks/{name}/limits"): describe.Input("LimitsRequest"),
}
_PAUSED = describe.answers({200: describe.answer("It is paused.", "Paused")}, HTTPStatus.NOT_FOUND)
_RESUMED = describe.answers(
    {200: describe.answer("It is not paused.", "Paused")}, HTTPStatus.NOT_FOUND
)
_LIMITED = describe.answers(
    {200: describe.answer("The limits that hold now.", "Limits")}, HTTPStatus.NOT_FOUND
)


@blueprint.post("/v1/tasks/<name>/pause")
@blueprint.doc(tags=["Controls"], responses=_PAUSED)
def pause_task(name: str) -> Response:
    """Let no job of a task start until it is resumed.

    What runs goes on. Jobs of the task wait aside, so that others in their queue are not held up.
    """
    return _pause("task", name)


@blueprint.post("/v1/tasks/<name>/resume")
@blueprint.doc(tags=["Controls"], responses=_RESUMED)
def resume_task(name: str) -> Response:
    """Let jobs of a task start again."""
    return _resume("task", name)


@blueprint.post("/v1/queues/<name>/pause")
@blueprint.doc(tags=["Controls"], responses=_PAUSED)
def pause_queue(name: str) -> Response:
    """Let no job of a queue start until it is resumed; what runs goes on."""
    return _pause("queue", name)


@blueprint.post("/v1/queues/<name>/resume")
@blueprint.doc(tags=["Controls"], responses=_RESUMED)
def resume_queue(name: str) -> Response:
    """Let jobs of a queue start again; workers take them up within a second."""
    return _resume("queue", name)


@blueprint.get("/v1/tasks/<name>/limits")
@blueprint.doc(tags=["Controls"], responses=_LIMITED)
def get_limits(name: str) -> Response:
    """Return the limits of a task that hold now."""
    controls.check_name(context().store, "task", name)
    return _limits(name)


@blueprint.put("/v1/tasks/<name>/limits")
@blueprint.doc(tags=["Controls"], responses=_LIMITED)
def put_limits(name: str) -> Response:
    """Set the limits of a task, for all workers and from now on; null lifts one.

    They win over what the task declares, until they are deleted.
    """
    request = validated(LimitsRequest, bodies.json_object(context().settings.payload_max_bytes))
    controls.set_limits(actor(), name, _checked(request))
    return _limits(name)


@blueprint.delete("/v1/tasks/<name>/limits")
@blueprint.doc(tags=["Controls"], responses=_LIMITED)
def delete_limits(name: str) -> Response:
    """Take back the limits that were set, so that what the task declares holds again."""
    controls.set_limits(actor(), name, None)
    return _limits(name)


def _pause(kind: Kind, name: str) -> Response:
    request = validated(PauseRequest, bodies.optional_object(context().settings.payload_max_bytes))
    controls.pause(actor(), kind, name, request.reason)
    return reply({"name": name, "paused": context().store.pauses(kind).get(name)})


def _resume(kind: Kind, name: str) -> Response:
    controls.resume(actor(), kind, name)
    return reply({"name": name, "paused": None})


def _limits(task: str) -> Response:
    return reply({"task": task, **controls.limits_of(context().store, task)})


def _checked(request: LimitsRequest) -> Limits:
    faults = []
    for field, args in (
        ("concurrency", (request.concurrency, None)),
        ("rate", (None, request.rate)),
    ):
        try:
            limits.limits(*args)
        except ValueError as error:
            faults.append(Fault(f"/{field}", "range", str(error)))
    if faults:
        raise InvalidSubmission(faults)
    return limits.limits(request.concurrency, request.rate)
