"""What arguments a task takes: a JSON Schema for the catalogue, and the conversion before a call."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError, create_model

from taskyard.arguments.hints import signature_of, unknown
from taskyard.arguments.secrets import HIDDEN, hides, is_secret
from taskyard.arguments.typed_json import MAX_FINDINGS, SchemaGenerator, findings, reader, reason
from taskyard.errors import Fault, bounded, pointer_part
from taskyard.validation.field_words import no_such
from taskyard.validation.misfits import fits, misfits

_WORDS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
    for parameter in _parameters(function).values():
        if (text := unknown(parameter.annotation)) is not None:
            return f"the type hint of {parameter.name!r}, {text}"
        try:
            TypeAdapter(_hint(parameter)).json_schema(schema_generator=SchemaGenerator)
        except (PydanticUserError, TypeError) as own:
            return f"the type hint of {parameter.name!r} has no JSON form: {reason(own)}"
    return str(error)


def _described(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = _parameters(function)
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
        "positional": [p.name for p in parameters.values() if p.kind in _POSITIONAL],
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


def faults(
    description: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Fault]:
    """Return what is wrong with a call of the described function, as `bounded` does; empty if it fits."""
    call = _Call(description)
    return bounded(
        chain(call.bind_positional(args), call.bind_keywords(kwargs), call.check_bound())
    )


def bound(
    description: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a call's arguments by the names of their parameters, defaults filled in.

    What has no name of its own is under `*` (a list) and among the others (`**`).
    """
    names = description["positional"]
    properties = description["schema"].get("properties", {})
    values = {
        name: part["default"]
        for name, part in properties.items()
        if "default" in part and name not in kwargs
    }
    values |= dict(zip(names, args, strict=False))
    if len(args) > len(names):
        values["*"] = list(args[len(names) :])
    return {**values, **kwargs}


class _Call:
    """Binds arguments to the described parameters and gives what does not fit, one by one."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description = description
        self._values: dict[str, Any] = {}
        self._pointers: dict[str, str] = {}

    def bind_positional(self, args: Sequence[Any]) -> Iterator[Fault]:
        names = self._description["positional"]
        more = self._description["var_positional"]
        for index, (name, value) in enumerate(zip(names, args, strict=False)):
            yield from self._bind(name, value, f"/args/{index}")
        if len(args) <= len(names):
            return
        if more is None:
            takes = f"{len(names)} positional argument{'s' * (len(names) != 1)}"
            yield Fault("/args", "too_many", f"the task takes {takes}, got {len(args)}")
            return
        for index, value in enumerate(args[len(names) :], len(names)):
            yield from self._refuse_hidden("*", value, f"/args/{index}")
            yield from self._misfits(more, value, f"/args/{index}", "*")

    def bind_keywords(self, kwargs: Mapping[str, Any]) -> Iterator[Fault]:
        names = self._description["keyword"]
        more = self._description["var_keyword"]
        for name, value in kwargs.items():
            pointer = f"/kwargs/{pointer_part(name)}"
            if name in names and name in self._values:
                yield Fault(pointer, "given_twice", f"{name!r} is given in args too")
            elif name in names:
                yield from self._bind(name, value, pointer)
            elif more is not None:
                yield from self._refuse_hidden("**", value, pointer)
                yield from self._misfits(more, value, pointer, "**")
            else:
                yield Fault(pointer, "unknown_argument", no_such("argument", name, names))

    def check_bound(self) -> Iterator[Fault]:
        schema = self._description["schema"]
        for name in schema.get("required", []):
            if name not in self._values:
                yield Fault(f"/kwargs/{pointer_part(name)}", "missing", f"{name!r} is required")
        if fits({**schema, "required": []}, self._values):
            return
        definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        for name, value in self._values.items():
            part = {**schema["properties"][name], **definitions}
            yield from self._misfits(part, value, self._pointers[name], name)

    def _bind(self, name: str, value: Any, pointer: str) -> Iterator[Fault]:
        self._values[name], self._pointers[name] = value, pointer
        yield from self._refuse_hidden(name, value, pointer)

    def _refuse_hidden(self, name: str, value: Any, pointer: str) -> Iterator[Fault]:
        if value == HIDDEN and hides(self._description, name):
            text = f"{HIDDEN!r} stands for a value that is not shown; send the value itself"
            yield Fault(pointer, "hidden", text)

    def _misfits(
        self, schema: Mapping[str, Any], value: Any, pointer: str, name: str
    ) -> Iterator[Fault]:
        for fault in misfits(schema, value, pointer):
            if hides(self._description, name):  # the texts tell values, and so may the path
                text = "this value, which is secret, is not accepted"
                yield Fault(pointer, fault.code, text)
            else:
                yield fault


def converter(
    function: Callable[..., Any],
) -> Callable[[Sequence[Any], Mapping[str, Any]], tuple[Sequence[Any], Mapping[str, Any]]]:
    """Return a function that makes JSON arguments what the type hints say, as `(args, kwargs)` to call with.

    It raises `TypeError` if they do not fit the parameters, or the value of one does not fit its hint; the
    text names it. Parameters without a hint get the JSON value as it is.
    """
    signature = inspect.signature(function)
    parameters = _parameters(function)
    description = described(function)
    adapters = {
        parameter.name: _adapter(parameter, _open_schema(description, parameter))
        for parameter in parameters.values()
        if parameter.annotation is not parameter.empty and parameter.annotation is not Any
    }
    plain = [p for p in parameters.values() if p.kind in _POSITIONAL]
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
    return islice(misfits(schema, value, pointer), MAX_FINDINGS)


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


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return signature_of(function).parameters


def _hint(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is parameter.empty else parameter.annotation


def _variadic(parameters: Mapping[str, inspect.Parameter], kind: Any) -> dict[str, Any] | None:
    for parameter in parameters.values():
        if parameter.kind is kind:
            return TypeAdapter(_hint(parameter)).json_schema(schema_generator=SchemaGenerator)
    return None
