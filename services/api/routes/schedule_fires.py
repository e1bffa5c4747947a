"""The routes of what schedules fire: what comes, what was, and one more job now."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response
from msgspec import structs

from services.api.auth import bindings
from services.api.context import context
from services.api.http import bodies, submitted
from services.api.http.actor import actor
from services.api.http.replies import reply
from services.api.openapi import describe
from taskyard.job import rfc3339
from taskyard.operations import schedules
from taskyard.schedules import rule as rules
from taskyard.schedules.record import event_document
from taskyard.schedules.rule import Schedule

blueprint = APIBlueprint("schedule_fires", __name__)
MAX_COUNT = 100

_PREVIEW = describe.answers(
    {200: describe.answer("The next fire times.", "FireTimes")}, HTTPStatus.NOT_FOUND
)
_COUNT = describe.parameter(
    "count",
    {"type": "integer", "minimum": 1, "maximum": MAX_COUNT, "default": 10},
    "How many at most.",
    example=3,
)
INPUTS = {
    ("post", "/v1/schedules/preview"): describe.Input("ScheduleRequest", (_COUNT,)),
    ("get", "/v1/schedules/{name}/preview"): describe.Input(parameters=(_COUNT,)),
    ("get", "/v1/schedules/{name}/history"): describe.Input(parameters=(_COUNT,)),
}


@blueprint.post("/v1/schedules/preview", endpoint="preview_new_schedule")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers({200: describe.answer("The next fire times.", "FireTimes")}),
)
def preview_new() -> Response:
    """Return the next fire times of a schedule without adding it."""
    data = bodies.json_object(context().settings.payload_max_bytes)
    bindings.check_submission(data)
    schedule = rules.parse(data)
    now_ms = context().store.now_ms()
    return _times(schedule, now_ms, anchor_ms=now_ms)


@blueprint.post("/v1/schedules/<name>/trigger", endpoint="trigger_schedule")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers(
        {
            202: describe.answer("The job is recorded.", "Job", "Location"),
            200: describe.answer("A unique job like it was there.", "JobOrState", "Location"),
        },
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
)
def trigger(name: str) -> Response:
    """Run a schedule's task now, also while it is paused; its fire times stay as they are."""
    made = schedules.trigger(
        actor(), name, context().wait_slots.dispatch, parent=bodies.traceparent()
    )
    submitted.log_job(made.job, made.created, made.traceparent)
    return submitted.answer(made.created)


@blueprint.get("/v1/schedules/<name>/preview", endpoint="preview_schedule")
@blueprint.doc(tags=["Schedules"], responses=_PREVIEW)
def preview(name: str) -> Response:
    """Return the next fire times of a schedule, as if it were not paused and without jitter."""
    row = context().schedules.get(name)
    return _times(row.schedule, context().store.now_ms(), anchor_ms=row.state.created_at)


@blueprint.get("/v1/schedules/<name>/history", endpoint="schedule_history")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers(
        {200: describe.answer("What became of its last fire times.", "FireEventList")},
        HTTPStatus.NOT_FOUND,
    ),
)
def history(name: str) -> Response:
    """Return what became of the last fire times, newest first; the last hundred are kept."""
    events = context().schedules.history(name, bodies.count(10, MAX_COUNT))
    hidden = bindings.unauthorized_ids([event.job_id for event in events], context().read)
    shown = [
        structs.replace(event, job_id=None) if event.job_id in hidden else event for event in events
    ]
    return reply({"items": [event_document(event) for event in shown]})


def _times(schedule: Schedule, after_ms: int, *, anchor_ms: int) -> Response:
    count = bodies.count(10, MAX_COUNT)
    found = rules.preview(schedule, after_ms, anchor_ms=anchor_ms, count=count)
    return reply({"items": [rfc3339(each) for each in found]})
