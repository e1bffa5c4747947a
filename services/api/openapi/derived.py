"""Schemas that are derived from the types which parse and render, so that the two cannot differ."""

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints, is_typeddict

import msgspec
from pydantic import BaseModel

from services.api.openapi.shapes import Schema, ref


def schema_of(model: type[BaseModel]) -> Schema:
    """Return the schema of a request, with that of each part in its place."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolve(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolve(part) for key, part in value.items()}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    flat: Schema = resolve(schema)
    return flat


def schemas_of(**types: Any) -> dict[str, Schema]:
    """Return the schema of each of these types, by its name in the document.

    What one of them refers to is a reference where it is among them too, and else in place. All fields are
    required: documents leave none out.

    Args:
        types: `TypedDict`s, by the names of their schemas.
    """
    _, components = msgspec.json.schema_components(list(types.values()), ref_template="{name}")
    names = {kind.__name__: name for name, kind in types.items()}
    fields = {
        each.__name__: list(each.__annotations__)
        for kind in types.values()
        for each in _typed_dicts(kind)
    }

    def whole(name: str) -> Schema:
        made = components[name]
        return {
            "type": "object",
            "description": made["description"].partition("\n")[0],
            # In the order of the type; msgspec sorts them.
            "properties": {field: resolved(made["properties"][field]) for field in fields[name]},
            "required": fields[name],
        }

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" not in value:
            return {key: resolved(part) for key, part in value.items()}
        name = value["$ref"]
        return ref(names[name]) if name in names else whole(name)

    return {name: whole(kind.__name__) for name, kind in types.items()}


def _typed_dicts(kind: Any) -> Iterator[Any]:
    """Give the `TypedDict`s in a type, itself among them."""
    if is_typeddict(kind):
        yield kind
        parts = tuple(get_type_hints(kind).values())
    else:
        parts = get_args(kind)
    for part in parts:
        yield from _typed_dicts(part)
