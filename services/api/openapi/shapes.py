"""The shapes that JSON Schemas are put together from."""

from typing import Any


def record(optional: tuple[str, ...] = (), /, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object; properties are required, but for those that are `optional`."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def array(items: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def map_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object of whatever names."""
    return {"type": "object", "additionalProperties": values}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that lets null pass, too."""
    return {"anyOf": [schema, {"type": "null"}]}
