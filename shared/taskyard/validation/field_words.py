"""What is wrong with a field of a pydantic model, in words and with what is accepted."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from taskyard.runtime.short_text import cut
from taskyard.validation.schema_text import few, resolved, schema_text

if TYPE_CHECKING:  # the settings, which everything needs, have no use for it
    from pydantic import BaseModel

#: Longest name that a text repeats, as JSON. Bytes.
MAX_NAME_BYTES = 100


def field_words(model: "type[BaseModel]", finding: Mapping[str, Any]) -> str:
    """Return what is wrong, such as `must be a whole number from 0 to 9`; nothing of the value is in it.

    Args:
        model: What the fields have to be.
        finding: One of pydantic's.
    """
    schema, kind = _schema(model), finding["type"]
    definitions, location = schema.get("$defs", {}), finding["loc"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        fields = _at(schema, definitions, location[:-1]).get("properties", {})
        return no_such("field", str(location[-1]), fields)
    if kind in ("value_error", "assertion_error"):
        return str(finding["msg"]).partition(", ")[2]
    wanted = schema_text(
        _without_null(_at(schema, definitions, location), definitions), definitions
    )
    return f"must be {wanted}"


def no_such(
    what: str, name: str, names: Sequence[str] | Mapping[str, Any], *, is_listed: bool = True
) -> str:
    """Return that there is nothing of this name, and what may be meant, or else what there is.

    Args:
        what: Of what kind it would be.
        name: The name.
        names: What there is.
        is_listed: Whether to say what there is.
    """
    text = f"there is no {what} {cut(name, MAX_NAME_BYTES)!r}"
    near = get_close_matches(name[:MAX_NAME_BYTES], names, n=3)
    if near:
        return f"{text}; did you mean {' or '.join(map(repr, near))}?"
    return f"{text}; there are: {few(names, most=len(names))}" if is_listed and names else text


@lru_cache(maxsize=64)
def _schema(model: "type[BaseModel]") -> dict[str, Any]:
    return model.model_json_schema()


def _at(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], location: Sequence[int | str]
) -> Mapping[str, Any]:
    """Return the part of a schema that a value at `location` has to fit; steps into unions are left out."""
    for step in location:
        schema = _without_null(schema, definitions)
        if isinstance(step, int):
            schema = schema.get("items", schema)
        elif step in schema.get("properties", {}):
            schema = schema["properties"][step]
    return resolved(schema, definitions)


def _without_null(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one alternative beside null: a field that may be left out is told as if it may not."""
    schema = resolved(schema, definitions)
    others = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(others) != 1:
        return schema
    return {"description": schema.get("description", ""), **resolved(others[0], definitions)}
