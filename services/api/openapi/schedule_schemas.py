"""The JSON Schemas of schedules."""

from typing import get_args

from services.api.openapi.shapes import (
    TEXT,
    TIME,
    WHOLE,
    Schema,
    array,
    or_null,
    page_of,
    record,
    ref,
)
from taskyard.schedules.plan import FireOutcome
from taskyard.schedules.rule import Schedule

_REQUEST = Schedule.model_json_schema()


def _shown() -> dict[str, Schema]:
    properties: dict[str, Schema] = record(
        is_declared={"type": "boolean", "description": "Whether a file declares it."},
        version={**WHOLE, "description": "Counts its changes; the ETag."},
        created_at=TIME,
        updated_at=TIME,
        next_fire_at=or_null(TIME),
        last_fire_at=or_null(TIME),
        last_job_id=or_null(TEXT),
        links=record(self=TEXT, history=TEXT),
    )["properties"]
    return properties


#: What is shown of a schedule besides what was asked for.
SHOWN_FIELDS = frozenset(_shown())


def _change() -> Schema:
    required = [name for name in _REQUEST["required"] if name != "name"]
    ignored = {name: {"readOnly": True, **schema} for name, schema in _shown().items()}
    properties = {**_REQUEST["properties"], **ignored}
    changed = {"title": "ScheduleChange", "properties": properties, "required": required}
    return {**_REQUEST, **changed}


def _schedule() -> Schema:
    properties = {**_REQUEST["properties"], **_shown()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _event() -> Schema:
    return record(
        fire_at={**TIME, "description": "The fire time; of several skipped at once, the first."},
        until=or_null({**TIME, "description": "Of several skipped at once, the last."}),
        at={**TIME, "description": "When this happened."},
        outcome={"type": "string", "enum": list(get_args(FireOutcome))},
        job_id=or_null(TEXT),
        reason={**TEXT, "description": "Why it did not fire, or waits."},
    )


SCHEMAS: dict[str, Schema] = {
    "ScheduleRequest": _REQUEST,
    "ScheduleChange": _change(),
    "Schedule": _schedule(),
    "ScheduleList": page_of("Schedule"),
    "FireTimes": record(items=array(TIME)),
    "FireEvent": _event(),
    "FireEventList": record(items=array(ref("FireEvent"))),
}
