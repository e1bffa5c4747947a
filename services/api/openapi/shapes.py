"""The shapes that JSON Schemas are put together from."""

from typing import Any

from taskyard.job import State

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2026-11-24T10:00:00.123Z"]}
TRACE_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
STATE: Schema = {"type": "string", "enum": [state.value for state in State]}


def ref(name: str) -> Schema:
    """Return a reference to the schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return the schema of an object; properties are required, but for those that are `optional`."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def map_of(values: Schema) -> Schema:
    """Return the schema of an object with any names."""
    return {"type": "object", "additionalProperties": values}


def or_null(schema: Schema) -> Schema:
    """Return a schema that lets null pass, too."""
    return {"anyOf": [schema, {"type": "null"}]}


def page_of(name: str) -> Schema:
    """Return the schema of a page of a list, whose entries have the schema of this name."""
    text = "Goes on from here; null: that was all. A page ends at about 8 MiB, too."
    return record(items=array(ref(name)), cursor={**or_null(TEXT), "description": text})
