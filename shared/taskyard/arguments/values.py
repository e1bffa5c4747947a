"""The arguments of `.delay()` as JSON, as the type hints of the task's parameters say."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from taskyard.arguments.hints import is_plain_hint, signature_of, unknown
from taskyard.arguments.plain import is_plain
from taskyard.arguments.typed_json import (
    Carrier,
    NotCarried,
    SchemaGenerator,
    fault_text,
    reason,
    with_article,
)
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault, pointer_part
from taskyard.validation.schema_text import schema_text

#: What is looked at of a value's inside to say which hint it needs.
_MAX_DEPTH = 4


def as_json(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return a call's arguments as what JSON has; those that are so already stay.

    Args:
        function: The task's function, whose parameters they fit.
        args: Positional arguments.
        kwargs: Keyword arguments.

    Raises:
        InvalidSubmission: With each that no hint carries.
    """
    parameters = list(signature_of(function).parameters.values())
    places = [each for each in parameters if each.kind in _BY_PLACE]
    names = {each.name: each for each in parameters if each.kind in _BY_NAME}
    rest = {each.kind: each for each in parameters}
    faults: list[Fault] = []

    def converted(parameter: Parameter, value: Any, pointer: str) -> Any:
        if is_plain(value):
            return value
        try:
            return _converted(parameter, value)
        except NotCarried as error:
            faults.append(Fault(pointer, "not_json", str(error)))

    made = [
        converted(
            places[at] if at < len(places) else rest[Parameter.VAR_POSITIONAL], value, f"/args/{at}"
        )
        for at, value in enumerate(args)
    ]
    named = {
        name: converted(
            names.get(name) or rest[Parameter.VAR_KEYWORD], value, f"/kwargs/{pointer_part(name)}"
        )
        for name, value in kwargs.items()
    }
    if faults:
        raise InvalidSubmission(faults)
    return made, named


_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def _converted(parameter: Parameter, value: Any) -> Any:
    name, hint = parameter.name, parameter.annotation
    if hint is Parameter.empty:
        raise NotCarried(f"{name}: {_without_hint(name, value)}")
    if (text := unknown(hint)) is not None:
        raise NotCarried(f"{name}: its type hint {text}")
    carrier = _carrier(hint)
    if isinstance(carrier, str):
        raise NotCarried(f"{name}: {carrier}")
    try:
        return carrier.to_json(value)
    except ValueError as error:
        text = fault_text(error, name)
        if carrier.is_secret:
            text = f"{name}: the value, which is secret, is not accepted"
        elif isinstance(error, ValidationError) and is_plain_hint(hint) and not _has_parts(value):
            text = f"{name}: {with_article(type(value))} is not {_words(hint)}"
        raise NotCarried(text) from None


def _has_parts(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset, dict))


@lru_cache(maxsize=1024)
def _carrier(hint: Any) -> Carrier | str:
    """Return what carries values of a hint, or why nothing does."""
    try:
        return Carrier(hint)
    except (PydanticUserError, TypeError) as error:
        return f"its type hint has no JSON form: {reason(error)}"


def _words(hint: Any) -> str:
    schema = TypeAdapter(hint).json_schema()
    return schema_text(schema, schema.get("$defs", {}))


def _without_hint(name: str, value: Any) -> str:
    needed, kind = _needed(value), with_article(type(value))
    if needed is None:
        return f"{kind} has no JSON form; hand over what it is made of"
    return f"{kind} needs a type hint to get through JSON: give the parameter one, {name}: {needed}"


def _needed(value: Any, depth: int = 0) -> str | None:
    """Return the type hint that would carry a value, as it is written; None if none would."""
    if isinstance(value, bytes):
        return "pydantic.Base64Bytes"
    if type(value) in (list, tuple, set, frozenset, dict) and depth < _MAX_DEPTH:
        inner = [*value.values()] if isinstance(value, dict) else [*value]
        odd = next((each for each in inner if not is_plain(each)), None)
        part = _needed(odd, depth + 1) if odd is not None else _name(inner)
        kind = "list" if isinstance(value, tuple) else type(value).__name__
        prefix = "str, " if kind == "dict" else ""
        return None if part is None else f"{kind}[{prefix}{part}]"
    try:
        is_typed = TypeAdapter(type(value)).json_schema(schema_generator=SchemaGenerator) != {}
    except (PydanticUserError, TypeError):
        return None
    return type(value).__name__ if is_typed else None


def _name(values: Sequence[Any]) -> str:
    names = {type(each).__name__ for each in values}
    return names.pop() if len(names) == 1 else "Any"
