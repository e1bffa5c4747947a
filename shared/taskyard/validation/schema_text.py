"""What a JSON Schema accepts, in words: a newcomer reads these and no schema."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from taskyard import message
from taskyard.runtime.short_text import cut

Schema = Mapping[str, Any]

#: Values of a choice, fields of an object and alternatives that are named; of more the rest is counted.
MAX_NAMED = 8
#: Longest value that a text repeats, as JSON. Bytes.
MAX_VALUE_BYTES = 80
#: So deep are alternatives and items told.
_MAX_DEPTH = 4

#: A decimal number as text.
DECIMAL_PATTERN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DECIMAL = "a decimal number like 12.50"
_ID = "an id of 1 to 128 letters, digits, '.', '_', '-' or ':'"
_NAME = "a name of 1 to 100 letters, digits, '_', '.' or '-' that does not begin with '.' or '-'"
_PATTERNS = {message.ID_PATTERN: _ID, message.NAME_PATTERN: _NAME, DECIMAL_PATTERN: _DECIMAL}
_OWN_PATTERN = "a text of the form that is asked for"
_FORMATS = {
    "date-time": "a time with a zone like 2026-11-24T10:00:00Z",
    "date": "a date like 2026-11-24",
    "time": "a time of day like 10:00:00",
    "duration": "a duration like PT1M30S",
    "uuid": "a UUID",
    "email": "an e-mail address",
    "uri": "a URL",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "base64": "a text in base64",
    "base64url": "a text in base64",
}
#: By type: one, and several.
_TYPES = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "string": ("a text", "texts"),
    "boolean": ("true or false", "true or false"),
    "array": ("a list", "lists"),
    "object": ("an object", "objects"),
    "null": ("null", "null"),
}


def schema_text(schema: Schema, definitions: Schema, *, depth: int = 0) -> str:
    """Return what a schema accepts, such as `a whole number from 0 to 9 or null`.

    Args:
        schema: JSON Schema.
        definitions: Its `$defs`.
        depth: How deep it stands in another.
    """
    schema = resolved(schema, definitions)
    if "const" in schema or "enum" in schema:
        return one_of(map(value_text, schema.get("enum", [schema.get("const")])))
    types = schema.get("type")
    parts = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(types, list):
        parts = [{**schema, "type": each} for each in types]
    if parts:
        return _alternatives(parts, definitions, depth)
    if types == "array":
        return _list(schema, definitions, depth)
    writers = {"integer": _number, "number": _number, "string": _text, "object": _object}
    if types in writers:
        return writers[types](schema)
    return _TYPES[types][0] if types in _TYPES else "another value"


def resolved(schema: Schema, definitions: Schema) -> Schema:
    """Return a schema behind its references."""
    while "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **_without_ref(schema)}
    return schema


def value_text(value: Any) -> str:
    """Return a value as a text repeats it: lists and objects are not told."""
    if isinstance(value, (list, tuple)):
        return "this list"
    if isinstance(value, dict):
        return "this object"
    return cut(msgspec.json.encode(value).decode(errors="replace"), MAX_VALUE_BYTES)


def one_of(texts: Iterable[str]) -> str:
    """Return a choice, of which the first `MAX_NAMED` are named."""
    named = few(texts)
    return named if ", " not in named else f"one of {named}"


def few(texts: Iterable[str], *, most: int = MAX_NAMED) -> str:
    """Return the first `most` texts, and how many there are besides."""
    every = list(texts)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")


def _without_ref(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "$ref"}


def _alternatives(parts: Sequence[Schema], definitions: Schema, depth: int) -> str:
    if depth >= _MAX_DEPTH:
        return "another value"
    texts = list(dict.fromkeys(schema_text(each, definitions, depth=depth + 1) for each in parts))
    if "a number" in texts and "a whole number" in texts:
        texts.remove("a whole number")
    if "a number" in texts and _DECIMAL in texts:
        texts.remove("a number")
    if len(texts) > MAX_NAMED:
        return few(texts)
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _number(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        texts = [f"from {low} to {high}"]
    else:
        texts = [] if low is None else [f"of at least {low}"]
        texts += [] if above is None else [f"above {above}"]
        texts += [] if high is None else [f"of at most {high}"]
    texts += [] if below is None else [f"below {below}"]
    if "multipleOf" in schema:
        texts.append(f"that is a multiple of {schema['multipleOf']}")
    return " ".join(filter(None, [_TYPES[schema["type"]][0], " and ".join(texts)]))


def _lengths(low: int | None, high: int | None, unit: str, units: str) -> str:
    if not low and high is None:
        return ""
    if low == high:
        return f" of {low} {unit if low == 1 else units}"
    if not low:
        return f" of at most {high} {unit if high == 1 else units}"
    if high is None:
        return f" of at least {low} {unit if low == 1 else units}"
    return f" of {low} to {high} {units}"


def _text(schema: Schema) -> str:
    pattern, description = schema.get("pattern"), schema.get("description")
    if pattern is not None:
        return _PATTERNS.get(pattern) or ": ".join(filter(None, [_OWN_PATTERN, description]))
    form = _FORMATS.get(schema.get("format", schema.get("contentEncoding", "")))
    bounds = schema.get("minLength"), schema.get("maxLength")
    return form or "a text" + _lengths(*bounds, "character", "characters")


def _list(schema: Schema, definitions: Schema, depth: int) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    places = schema.get("prefixItems")
    if places and depth < _MAX_DEPTH:
        texts = few(schema_text(each, definitions, depth=depth + 1) for each in places)
        return f"a list of {len(places)}: {texts}"
    items = resolved(schema["items"], definitions) if isinstance(schema.get("items"), dict) else {}
    one, several = _TYPES.get(str(items.get("type")), ("item", "items"))
    if low or high is not None:
        return "a list" + _lengths(low, high, one.removeprefix("a "), several)
    return "a list" if several == "items" else f"a list of {several}"


def _object(schema: Schema) -> str:
    title = schema.get("title", "")
    needed = schema.get("required", [])
    has = f" with {few(map(repr, needed))}" if needed else ""
    if "properties" not in schema or not title.isidentifier():  # else it may be that of a field
        return f"an object{has}"
    return f"{title} (an object{has})"
