"""The routes of schedules: look at them, add, change, pause and remove them."""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.http import bodies
from services.api.http.actor import actor
from services.api.http.paging import CursorQuery, PagedList
from services.api.http.queries import parameters
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.derived import schemas_of
from services.api.openapi.shapes import TEXT, TIME, Schema, array, page_of, record, ref
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.operations import schedules
from taskyard.schedules.record import FireEventDocument, ScheduleRecord, Standing, document
from taskyard.schedules.rule import Schedule

blueprint = APIBlueprint("schedules", __name__)

_SCHEDULES = PagedList("schedules")

_SHOWN = describe.answers(
    {200: describe.answer("The schedule.", "Schedule", "ETag")}, HTTPStatus.NOT_FOUND
)
_CREATED = describe.answer("The schedule is added.", "Schedule", "ETag", "Location")
_GONE = describe.nothing("The schedule is gone.")
_IF_MATCH = describe.parameter(
    "If-Match", TEXT, "Only if this is the ETag of what is there.", place="header"
)
_IF_NONE_MATCH = describe.parameter(
    "If-None-Match", TEXT, "`*`: only if there is none yet.", place="header"
)
_REQUEST = Schedule.model_json_schema()
_STANDING = schemas_of(Standing=Standing)["Standing"]["properties"]
#: What is shown of a schedule besides the fields of a request.
_SHOWN_FIELDS = frozenset(_STANDING)


def _change_schema() -> Schema:
    required = [name for name in _REQUEST["required"] if name != "name"]
    ignored = {name: {"readOnly": True, **schema} for name, schema in _STANDING.items()}
    properties = {**_REQUEST["properties"], **ignored}
    changed = {"title": "ScheduleChange", "properties": properties, "required": required}
    return {**_REQUEST, **changed}


def _schedule_schema() -> Schema:
    properties = {**_REQUEST["properties"], **_STANDING}
    return {"type": "object", "properties": properties, "required": list(properties)}


SCHEMAS: dict[str, Schema] = {
    "ScheduleRequest": _REQUEST,
    "ScheduleChange": _change_schema(),
    "Schedule": _schedule_schema(),
    "ScheduleList": page_of("Schedule"),
    "FireTimes": record(items=array(TIME)),
    **schemas_of(FireEvent=FireEventDocument),
    "FireEventList": record(items=array(ref("FireEvent"))),
}
INPUTS = {
    ("get", "/v1/schedules"): describe.Input(parameters=parameters(CursorQuery)),
    ("post", "/v1/schedules"): describe.Input("ScheduleRequest"),
    ("put", "/v1/schedules/{name}"): describe.Input("ScheduleChange", (_IF_MATCH, _IF_NONE_MATCH)),
    ("delete", "/v1/schedules/{name}"): describe.Input(parameters=(_IF_MATCH,)),
}


@blueprint.get("/v1/schedules", endpoint="list_schedules")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers({200: describe.answer("A page.", "ScheduleList", "Link")}),
)
def list_all() -> Response:
    """List the schedules, by name.

    A page ends at about 8 MiB: go on with `cursor` until there is none.
    """
    rows, end = context().schedules.page(_SCHEDULES.start())
    hidden = _unauthorized_ids(rows)
    entries = (
        (
            (0, row.name),
            _document(row, hidden)
            if bindings.is_authorized(*_task_and_queue(row.schedule))
            else None,
        )
        for row in rows
    )
    return _SCHEDULES.bounded_page(entries, end)


@blueprint.post("/v1/schedules", endpoint="create_schedule")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers({201: _CREATED}, HTTPStatus.CONFLICT),
)
def create() -> Response:
    """Add a schedule; its arguments are checked like those of a job."""
    schedule = _checked(_body())
    row = schedules.create(actor(), schedule, reach=bindings.of_caller())
    return _shown(row, HTTPStatus.CREATED)


@blueprint.get("/v1/schedules/<name>", endpoint="show_schedule")
@blueprint.doc(tags=["Schedules"], responses=_SHOWN)
def show(name: str) -> Response:
    """Return a schedule."""
    return _shown(context().schedules.get(name))


@blueprint.put("/v1/schedules/<name>", endpoint="put_schedule")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers(
        {200: describe.answer("The schedule is replaced.", "Schedule", "ETag"), 201: _CREATED},
        HTTPStatus.CONFLICT,
        HTTPStatus.PRECONDITION_FAILED,
    ),
)
def put(name: str) -> Response:
    """Replace a schedule as a whole, or add it.

    Fields that are not given get their defaults; those that are only shown are ignored, so what GET
    gives can be changed and sent back; secret arguments that are `***` stay as they are. With other
    fire times it starts anew from now.
    """
    data = {key: value for key, value in _body().items() if key not in _SHOWN_FIELDS}
    if data.setdefault("name", name) != name:
        raise InvalidSubmission([Fault("/name", "conflict", f"must be {name!r}, as in the path")])
    old = schedules.found(context().schedules, name)
    schedule = _checked(data, old)
    accepts = _accepted_version(old)
    row = schedules.put(actor(), schedule, old, accepts=accepts, reach=bindings.of_caller())
    return _shown(row, HTTPStatus.CREATED if row.version == 1 else HTTPStatus.OK)


@blueprint.delete("/v1/schedules/<name>", endpoint="delete_schedule")
@blueprint.doc(
    tags=["Schedules"],
    responses=describe.answers(
        {204: _GONE}, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED
    ),
)
def delete(name: str) -> Response:
    """Remove a schedule and its history; jobs that it made stay."""
    old = schedules.found(context().schedules, name)
    schedules.delete(actor(), name, old, accepts=_accepted_version(old))
    return Response(status=HTTPStatus.NO_CONTENT)


@blueprint.post("/v1/schedules/<name>/pause", endpoint="pause_schedule")
@blueprint.doc(tags=["Schedules"], responses=_SHOWN)
def pause(name: str) -> Response:
    """Pause a schedule; what it fired already goes on."""
    return _shown(schedules.set_paused(actor(), name, True))


@blueprint.post("/v1/schedules/<name>/resume", endpoint="resume_schedule")
@blueprint.doc(tags=["Schedules"], responses=_SHOWN)
def resume(name: str) -> Response:
    """Resume a schedule; fire times that passed meanwhile are left out."""
    return _shown(schedules.set_paused(actor(), name, False))


def _checked(data: dict[str, Any], old: ScheduleRecord | None = None) -> Schedule:
    bindings.check_submission(data)
    schedule = schedules.checked(actor(), data, old)
    bindings.check(*_task_and_queue(schedule))
    return schedule


def _accepted_version(old: ScheduleRecord | None) -> Callable[[int | None], bool] | None:
    """Return what says whether a version may be changed: for a bound key, the one that it was authorized for.

    Raises:
        OutOfReach: If that is not.
    """
    accepts = bodies.accepted_version()
    if not current().is_bound:
        return accepts
    if old is not None:
        bindings.check(*_task_and_queue(old.schedule))
    seen = None if old is None else old.version
    return lambda version: version == seen and (accepts is None or accepts(version))


def _unauthorized_ids(rows: Sequence[ScheduleRecord]) -> frozenset[str]:
    """Return the ids of these schedules' last jobs that the caller's key may not access."""
    return bindings.unauthorized_ids([row.state.last_job for row in rows], context().read)


def _document(row: ScheduleRecord, hidden: Collection[str]) -> dict[str, Any]:
    shown = context().catalogue.shown(document(row))
    return {**shown, "last_job_id": None} if row.state.last_job in hidden else shown


def _task_and_queue(schedule: Schedule) -> tuple[str, str]:
    """Return the task and queue of a schedule's jobs."""
    return schedule.task, schedule.queue or context().catalogue.queue_of(schedule.task)


def _body() -> dict[str, Any]:
    return bodies.json_object(context().settings.payload_max_bytes)


def _shown(row: ScheduleRecord, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = {"ETag": f'"{row.version}"'}
    if status is HTTPStatus.CREATED:
        headers["Location"] = f"/v1/schedules/{row.name}"
    shown = _document(row, _unauthorized_ids([row]))
    return reply(shown, status.value, headers=headers)
