"""What arguments a task takes, as the catalogue keeps it: names, and a JSON Schema."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field, PydanticUserError, TypeAdapter, create_model

from taskyard.arguments.hints import signature_of, unknown
from taskyard.arguments.secrets import is_secret
from taskyard.arguments.typed_json import SchemaGenerator, reason

#: Parameters that positional arguments fill.
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the JSON form of a function's signature, as the catalogue keeps it.

    The shape is `{"positional": [names], "keyword": [names], "var_positional": schema or None,
    "var_keyword": schema or None, "schema": JSON Schema of an object with all parameters by name,
    "secret": [names of parameters, "*" and "**" for those without one]}`.

    Raises:
        TypeError: If a type hint has no JSON form; the text names its parameter.
    """
    try:
        return _described(function)
    except (PydanticUserError, TypeError) as error:
        raise TypeError(f"{function.__name__}: {_without_json_form(function, error)}") from None


def _without_json_form(function: Callable[..., Any], error: Exception) -> str:
    """Return which parameter's hint has no JSON form, and why."""
    for parameter in parameters_of(function).values():
        if (text := unknown(parameter.annotation)) is not None:
            return f"the type hint of {parameter.name!r}, {text}"
        try:
            TypeAdapter(_hint(parameter)).json_schema(schema_generator=SchemaGenerator)
        except (PydanticUserError, TypeError) as own:
            return f"the type hint of {parameter.name!r} has no JSON form: {reason(own)}"
    return str(error)


def _described(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = parameters_of(function)
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(parameters.values()):
        if unknown(parameter.annotation) is not None:
            raise TypeError(parameter.name)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"p{index}"] = (_hint(parameter), Field(default=default, alias=parameter.name))
    model = create_model(function.__name__, **fields)
    schema = model.model_json_schema(by_alias=True, schema_generator=SchemaGenerator)
    for part in schema.get("properties", {}).values():
        part.pop("title", None)
    schema.pop("title", None)
    variadic = {
        "*": _variadic(parameters, inspect.Parameter.VAR_POSITIONAL),
        "**": _variadic(parameters, inspect.Parameter.VAR_KEYWORD),
    }
    return {
        "positional": [p.name for p in parameters.values() if p.kind in POSITIONAL],
        "keyword": [
            p.name
            for p in parameters.values()
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ],
        "var_positional": variadic["*"],
        "var_keyword": variadic["**"],
        "schema": schema,
        "secret": _secret(schema, variadic),
    }


@lru_cache(maxsize=1024)
def described(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the same as `describe`, made once for each function."""
    return describe(function)


def _secret(schema: dict[str, Any], variadic: Mapping[str, Any]) -> list[str]:
    """Return which parameters are secret, and take their defaults out of the schema."""
    definitions = schema.get("$defs", {})
    properties = schema.get("properties", {})
    names = [name for name, part in properties.items() if is_secret(part, definitions)]
    for name in names:
        properties[name].pop("default", None)
    return names + [
        name
        for name, part in variadic.items()
        if part is not None and is_secret(part, part.get("$defs", {}))
    ]


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function by name, their type hints resolved."""
    return signature_of(function).parameters


def _hint(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is parameter.empty else parameter.annotation


def _variadic(parameters: Mapping[str, inspect.Parameter], kind: Any) -> dict[str, Any] | None:
    for parameter in parameters.values():
        if parameter.kind is kind:
            return TypeAdapter(_hint(parameter)).json_schema(schema_generator=SchemaGenerator)
    return None
