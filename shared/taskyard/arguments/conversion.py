"""The conversion of JSON arguments to what a task's type hints say, before its call."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from taskyard.arguments.signature import POSITIONAL, described, parameters_of
from taskyard.arguments.typed_json import MAX_FINDINGS, findings, reader
from taskyard.faults import Fault
from taskyard.validation.violations import violations

_WORDS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def converter(
    function: Callable[..., Any],
) -> Callable[[Sequence[Any], Mapping[str, Any]], tuple[Sequence[Any], Mapping[str, Any]]]:
    """Return a function that makes JSON arguments what the type hints say, as `(args, kwargs)` to call with.

    It raises `TypeError` if they do not fit the parameters, or the value of one does not fit its hint; the
    text names it. Parameters without a hint get the JSON value as it is.
    """
    signature = inspect.signature(function)
    parameters = parameters_of(function)
    description = described(function)
    adapters = {
        parameter.name: _adapter(parameter, _open_schema(description, parameter))
        for parameter in parameters.values()
        if parameter.annotation is not parameter.empty and parameter.annotation is not Any
    }
    plain = [p for p in parameters.values() if p.kind in POSITIONAL]
    only_plain = len(plain) == len(parameters)
    needed = sum(p.default is p.empty for p in plain)
    in_order = [adapters.get(p.name, _same) for p in plain]

    def convert(
        args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        if only_plain and not kwargs and needed <= len(args) <= len(plain):
            # By far the most calls, and binding costs more than a tiny task.
            return [adapt(value) for adapt, value in zip(in_order, args, strict=False)], kwargs
        bound = signature.bind(*args, **kwargs)
        for name, adapt in adapters.items():
            if name in bound.arguments:
                bound.arguments[name] = adapt(bound.arguments[name])
        return bound.args, bound.kwargs

    return convert


def _same(value: Any) -> Any:
    return value


def _adapter(
    parameter: inspect.Parameter, schema: Mapping[str, Any] | None
) -> Callable[[Any], Any]:
    """Return the conversion of a parameter's value; without a schema its errors do not tell the value."""
    convert, name = reader(parameter.annotation), parameter.name
    one = _discreet(name, convert) if schema is None else _named(name, convert, schema)
    if parameter.kind is parameter.VAR_POSITIONAL:
        return lambda values: tuple(map(one, values))
    if parameter.kind is parameter.VAR_KEYWORD:
        return lambda values: {name: one(value) for name, value in values.items()}
    return one


def _named(
    name: str, convert: Callable[[Any], Any], schema: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """Return the same conversion, whose errors name the parameter; in the words of all doors, if they do."""

    def one(value: Any) -> Any:
        try:
            return convert(value)
        except ValidationError as error:
            wrong = [
                f"{each.pointer[1:]}: {each.detail}" for each in _few(schema, value, f"/{name}")
            ]
            raise TypeError("; ".join(wrong) or findings(error, name)) from None

    return one


def _few(schema: Mapping[str, Any], value: Any, pointer: str) -> Iterator[Fault]:
    return islice(violations(schema, value, pointer), MAX_FINDINGS)


def _discreet(name: str, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the same conversion, whose errors do not tell the value."""

    def one(value: Any) -> Any:
        try:
            return convert(value)
        except ValidationError:
            raise TypeError(f"the value of {name!r}, which is secret, is not accepted") from None

    return one


def _open_schema(
    description: Mapping[str, Any], parameter: inspect.Parameter
) -> Mapping[str, Any] | None:
    """Return the schema of a parameter's value; None if that is secret."""
    word = _WORDS.get(parameter.kind)
    if (word or parameter.name) in description["secret"]:
        return None
    if word is not None:
        found: dict[str, Any] = description["var_positional" if word == "*" else "var_keyword"]
        return found
    schema = description["schema"]
    return {**schema["properties"][parameter.name], "$defs": schema.get("$defs", {})}
