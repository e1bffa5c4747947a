"""What does not fit a JSON Schema: all that is wrong in a small value, and the first thing in a large one.

The library makes all errors, of each alternative too, before it gives the first: some 20 µs and 1.5 KB each.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import time, timedelta
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec
from pydantic import TypeAdapter, ValidationError

from taskyard.faults import Fault, more_faults, pointer_part
from taskyard.validation.schema_text import schema_text
from taskyard.validation.violation_texts import faults_of

#: Values and parts of values, past which only the first thing that is wrong is looked for.
MAX_SMALL_NODES = 2_000
#: Characters that count as one more of them.
_CHARS_OF_NODE = 16

Schema = Mapping[str, Any]
_Place = tuple[Schema, Any, str]


def is_valid(schema: Schema, value: Any) -> bool:
    """Return whether a value fits."""
    return _validator(_encode(schema)).is_valid(value)


def violations(schema: Schema, value: Any, pointer: str) -> Iterator[Fault]:
    """Give what is wrong with a value; nothing if it fits.

    Args:
        schema: JSON Schema, with its `$defs`.
        value: Made of what JSON has.
        pointer: Where it is.
    """
    if is_valid(schema, value):
        return
    if _is_small(value):
        yield from _all(schema, value, pointer)
        return
    inner, part, where = _narrowed(schema, value, pointer)
    if _is_small(part) or not isinstance(part, (dict, list)):
        yield from _all(inner, part, where)
    else:
        wanted = schema_text(inner, inner.get("$defs", {}))
        yield Fault(where, "misfit", f"it is not {wanted}, and is too large to say why")
    yield more_faults(pointer)


def _all(schema: Schema, value: Any, pointer: str) -> Iterator[Fault]:
    for error in _validator(_encode(schema)).iter_errors(value):
        yield from faults_of(schema, error, pointer)


def _narrowed(schema: Schema, value: Any, pointer: str) -> _Place:
    """Return the first part of a value that does not fit, as far as its schema leads to it."""
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    while not _is_small(value) and isinstance(value, (dict, list)):
        found = _first_part(
            {**schema_of_kind(schema, value), **definitions}, definitions, value, pointer
        )
        if found is None:
            break
        schema, value, pointer = found
    return schema, value, pointer


def _first_part(schema: Schema, definitions: Schema, value: Any, pointer: str) -> _Place | None:
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        inner = schema_of_part(schema, name)
        if isinstance(inner, dict):
            inner = {**inner, **definitions}
            if not is_valid(inner, part):
                return inner, part, f"{pointer}/{pointer_part(name)}"
    return None


def schema_of_part(schema: Schema, name: int | str) -> Any:
    """Return the schema of an item or a property; None where it has none of its own."""
    if isinstance(name, int):
        places = schema.get("prefixItems", [])
        return places[name] if name < len(places) else schema.get("items")
    return schema.get("properties", {}).get(name, schema.get("additionalProperties"))


def schema_of_kind(schema: Schema, value: Any) -> Schema:
    """Return the schema of lists, or of objects, out of references and alternatives, if there is one only."""
    while "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]] | {"$defs": schema["$defs"]}
    kind = "object" if isinstance(value, dict) else "array"
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    several = [schema_of_kind({**each, **definitions}, value) for each in schema.get("anyOf", [])]
    fitting = [each for each in several if each.get("type") == kind]
    return fitting[0] if len(fitting) == 1 else schema


def _is_small(value: Any) -> bool:
    left, waiting = MAX_SMALL_NODES, [value]
    while waiting:
        each = waiting.pop()
        left -= len(each) // _CHARS_OF_NODE if isinstance(each, str) else 1
        if isinstance(each, (dict, list)):
            left -= len(each)
        if left <= 0:
            return False
        if isinstance(each, dict):
            waiting += each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return True


@lru_cache(maxsize=1024)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema.decode(), validate_formats=True, formats=_FORMATS)


def _is(kind: type) -> Callable[[str], bool]:
    """Return what tells texts of a kind, as tasks read them."""
    read = TypeAdapter[Any](kind).validate_strings

    def is_one(text: str) -> bool:
        try:
            read(text)
        except ValidationError:
            return False
        return True

    return is_one


#: The library asks for a zone in a time of day, and for no parts of seconds in a duration.
_FORMATS = {"time": _is(time), "duration": _is(timedelta)}
_encode = msgspec.json.Encoder().encode
