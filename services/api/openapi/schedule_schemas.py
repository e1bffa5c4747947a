"""The JSON Schemas of schedules."""

from services.api.openapi.derived import schemas_of
from services.api.openapi.shapes import TIME, Schema, array, page_of, record, ref
from taskyard.schedules.record import FireEventDocument, Standing
from taskyard.schedules.rule import Schedule

_REQUEST = Schedule.model_json_schema()


_STANDING = schemas_of(Standing=Standing)["Standing"]["properties"]
#: What is shown of a schedule besides the fields of a request.
SHOWN_FIELDS = frozenset(_STANDING)


def _change() -> Schema:
    required = [name for name in _REQUEST["required"] if name != "name"]
    ignored = {name: {"readOnly": True, **schema} for name, schema in _STANDING.items()}
    properties = {**_REQUEST["properties"], **ignored}
    changed = {"title": "ScheduleChange", "properties": properties, "required": required}
    return {**_REQUEST, **changed}


def _schedule() -> Schema:
    properties = {**_REQUEST["properties"], **_STANDING}
    return {"type": "object", "properties": properties, "required": list(properties)}


SCHEMAS: dict[str, Schema] = {
    "ScheduleRequest": _REQUEST,
    "ScheduleChange": _change(),
    "Schedule": _schedule(),
    "ScheduleList": page_of("Schedule"),
    "FireTimes": record(items=array(TIME)),
    **schemas_of(FireEvent=FireEventDocument),
    "FireEventList": record(items=array(ref("FireEvent"))),
}
