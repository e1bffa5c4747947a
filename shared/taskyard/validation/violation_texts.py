"""What is wrong with a value that a JSON Schema refuses, in words and with what is accepted."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from jsonschema_rs import ValidationError, ValidationErrorKind

from taskyard.faults import Fault, pointer_part
from taskyard.runtime.short_text import cut
from taskyard.validation.field_words import MAX_NAME_BYTES, no_such
from taskyard.validation.schema_text import MAX_NAMED, one_of, resolved, schema_text, value_text

Schema = Mapping[str, Any]

#: Codes of faults; any other is a `form` that is not accepted.
_CODES = {
    "type": "type",
    "enum": "choice",
    "const": "choice",
    "propertyNames": "choice",
    "minimum": "range",
    "maximum": "range",
    "exclusiveMinimum": "range",
    "exclusiveMaximum": "range",
    "multipleOf": "range",
    "minLength": "length",
    "maxLength": "length",
    "minItems": "length",
    "maxItems": "length",
    "minProperties": "length",
    "maxProperties": "length",
}


def faults_of(schema: Schema, error: ValidationError, pointer: str) -> Iterator[Fault]:
    """Give the faults that an error is about.

    Args:
        schema: What was asked for, with its `$defs`.
        error: What the library found.
        pointer: Where the value is.
    """
    definitions = schema.get("$defs", {})
    where = "/".join([pointer, *map(pointer_part, error.instance_path)])
    kind, value = error.kind, error.instance
    part = _part(schema, error.schema_path[:-1])
    if isinstance(kind, (ValidationErrorKind.AnyOf, ValidationErrorKind.OneOfNotValid)):
        yield from _of_alternatives(schema, error, kind.context, pointer)
    elif isinstance(kind, ValidationErrorKind.Required):
        text = f"{_name(kind.property)} is required"
        yield Fault(f"{where}/{pointer_part(kind.property)}", "missing", text)
    elif isinstance(kind, ValidationErrorKind.AdditionalProperties):
        for name in kind.unexpected:
            text = no_such("field", name, part.get("properties", {}))
            yield Fault(f"{where}/{pointer_part(name)}", "extra_forbidden", text)
    elif isinstance(kind, ValidationErrorKind.PropertyNames):
        names = schema_text(_part(schema, kind.error.schema_path[:-1]), definitions)
        text = f"a name in it, {value_text(kind.error.instance)}, is not {names}"
        yield Fault(where, "choice", text)
    elif isinstance(kind, ValidationErrorKind.UniqueItems):
        yield Fault(where, "form", "an item comes twice, and each may come once only")
    else:
        yield Fault(where, _CODES.get(kind.name, "form"), _not_accepted(part, value, definitions))


def _not_accepted(schema: Schema, value: Any, definitions: Schema) -> str:
    is_sized = isinstance(value, list) and schema.get("type") == "array"
    subject = f"a list of {len(value)}" if is_sized else value_text(value)
    return f"{subject} is not {schema_text(schema, definitions)}"


def _name(name: str) -> str:
    return repr(cut(name, MAX_NAME_BYTES))


def _part(schema: Any, path: Sequence[int | str]) -> Schema:
    """Return the part of a schema at a path in it; an empty one where it cannot be followed."""
    for step in path:
        try:
            schema = schema[step]
        except (KeyError, IndexError, TypeError):
            return {}
    return schema if isinstance(schema, dict) else {}


def _of_alternatives(
    schema: Schema,
    error: ValidationError,
    context: Sequence[Sequence[ValidationError]],
    pointer: str,
) -> Iterator[Fault]:
    """Give what is wrong in the alternative that was meant, or that the value is none of them."""
    definitions = schema.get("$defs", {})
    part = _part(schema, error.schema_path[:-1])
    where = "/".join([pointer, *map(pointer_part, error.instance_path)])
    if isinstance(error.instance, dict) and "discriminator" in part:
        tag = part["discriminator"]["propertyName"]
        if (fault := _of_tag(part, error.instance, f"{where}/{pointer_part(tag)}")) is not None:
            yield fault
            return
    parts = part.get("anyOf") or part.get("oneOf") or []
    candidates = [
        (resolved(each, definitions), found)
        for each, found in zip(parts, context, strict=False)
        if not any(_is_about_all(one, error) for one in found)
    ]
    if len(candidates) > 1:  # those of another kind are told apart by a field that is one word
        candidates = [
            each for each in candidates if not any(map(_is_choice, each[1]))
        ] or candidates
    if len(candidates) == 1:
        for found in candidates[0][1]:
            yield from faults_of(schema, found, pointer)
    elif not candidates:
        code = "choice" if any(map(_is_choice, chain.from_iterable(context))) else "type"
        yield Fault(
            where, code, f"{value_text(error.instance)} is not {schema_text(part, definitions)}"
        )
    else:
        whys = [
            f"{schema_text(each, definitions)}: {next(faults_of(schema, found[0], '')).detail}"
            for each, found in candidates[:MAX_NAMED]
        ]
        subject = value_text(error.instance)
        yield Fault(where, "alternatives", f"{subject} is none of these. {'; '.join(whys)}")


def _of_tag(part: Schema, value: Mapping[str, Any], pointer: str) -> Fault | None:
    """Return what is wrong with the field that names the alternative; None if it names one."""
    tag, mapping = part["discriminator"]["propertyName"], part["discriminator"].get("mapping", {})
    choice = one_of(map(value_text, mapping))
    if tag not in value:
        return Fault(pointer, "missing", f"{_name(tag)} is required: {choice}")
    if mapping and str(value[tag]) not in mapping:
        return Fault(pointer, "choice", f"{value_text(value[tag])} is not {choice}")
    return None


def _is_about_all(found: ValidationError, error: ValidationError) -> bool:
    """Return whether an alternative is not meant: the value as a whole is of another type."""
    kinds = (ValidationErrorKind.Type, ValidationErrorKind.Enum, ValidationErrorKind.Constant)
    return isinstance(found.kind, kinds) and found.instance_path == error.instance_path


def _is_choice(found: ValidationError) -> bool:
    return isinstance(found.kind, (ValidationErrorKind.Constant, ValidationErrorKind.Enum))
