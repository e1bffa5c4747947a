"""Values of Python as JSON and back, as a type hint says."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Flag
from functools import lru_cache, partial, reduce
from operator import or_
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticSerializationError

from taskyard.arguments.hints import is_plain_hint
from taskyard.arguments.secrets import is_secret
from taskyard.validation.nesting import MAX_DEPTH
from taskyard.validation.schema_text import DECIMAL_PATTERN
from taskyard.validation.violations import schema_of_kind, schema_of_part

#: What makes values of JSON what the hint says.
Convert = Callable[[Any], Any]

_JSON = (str, int, float, bool, type(None), list, dict)
#: What is the same only if it is equal.
_VALUES = (str, int, float, bytes, date, time, timedelta, Decimal, UUID, re.Pattern)

#: Findings of pydantic that a text repeats.
MAX_FINDINGS = 10


class SchemaGenerator(GenerateJsonSchema):
    """Makes JSON Schema of a hint that fits all values in their JSON form, without warnings."""

    #: A default without a JSON form is left out: it is never sent.
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012 - as pydantic has it
        "skipped-choice",
        "non-serializable-default",
    }

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a decimal number, whose text would otherwise be any."""
        made = super().decimal_schema(schema)
        for part in made.get("anyOf", []):
            if part.get("type") == "string":
                part["pattern"] = DECIMAL_PATTERN
        return made

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of an Enum; flags may be several at once."""
        made = super().enum_schema(schema)
        if not issubclass(schema["cls"], Flag):
            return made
        every = reduce(or_, (each.value for each in schema["members"]), 0)
        return {"title": made["title"], "type": "integer", "minimum": 0, "maximum": every}

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a dict; names are texts, which no Enum of numbers has."""
        made, keys = super().dict_schema(schema), schema.get("keys_schema", {})
        if not all(isinstance(each.value, str) for each in keys.get("members", [])):
            made.pop("propertyNames", None)
        return made


class NotCarried(ValueError):
    """A value does not get through JSON as what it is; the text says why, and nothing of the value."""


def reader(hint: Any) -> Convert:
    """Return what makes a JSON value what a hint says; it raises pydantic's `ValidationError`."""
    adapter = TypeAdapter(hint)
    if is_plain_hint(hint):
        return adapter.validate_python
    encode = msgspec.json.Encoder().encode
    # As JSON, for types that take other things then: bytes in base64, a text for a time in a strict model.
    return lambda value: adapter.validate_json(encode(value))


def result_writer(hint: Any) -> Convert:
    """Return what makes JSON of a value of a hint; it raises `ValueError` if the value is none."""
    dump = partial(_of_results(hint).dump_python, mode="json", by_alias=True, warnings="error")
    # Of a model that is derived from the one in the hint, all fields: the result would be lost otherwise.
    return partial(dump, polymorphic_serialization=True)


def result_reader(hint: Any) -> Convert:
    """Return what makes what `result_writer` has made a value of the hint again."""
    validate, encode = _of_results(hint).validate_json, msgspec.json.Encoder().encode
    return lambda value: validate(encode(value))


def has_secrets(hint: Any) -> bool:
    """Return whether there is a secret in values of a hint, as far as that can be told."""
    try:
        schema = TypeAdapter(hint).json_schema(schema_generator=SchemaGenerator)
    except PydanticUserError:
        return False
    return is_secret(schema, schema.get("$defs", {}))


def _of_results(hint: Any) -> TypeAdapter[Any]:
    """Return an adapter that has bytes in base64, which a result may have always had."""
    config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    try:
        return TypeAdapter(hint, config=config)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)  # it has a configuration of its own


class Carrier:
    """Makes values of a hint JSON that is read back as the same.

    Args:
        hint: The type hint.

    Raises:
        PydanticUserError: If values of the hint have no JSON form.
    """

    def __init__(self, hint: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(hint)
        self._read = reader(hint)
        schema = self._adapter.json_schema(schema_generator=SchemaGenerator)
        self._sets = schema if b'"uniqueItems":true' in msgspec.json.encode(schema) else None
        #: Whether there is a secret in its values.
        self.is_secret = is_secret(schema, schema.get("$defs", {}))

    def to_json(self, value: Any) -> Any:
        """Return a value as what JSON has.

        Raises:
            ValidationError: If it is not what the hint says.
            NotCarried: If the hint does not carry it.
        """
        _refuse_iterators(value)
        try:
            return self._carried(value)
        except ValueError:  # it may be what becomes a value of the hint, such as a dict for a model
            typed = self._adapter.validate_python(value)
        try:
            return self._carried(typed)
        except ValidationError as error:
            text = f"what is written is not read back: {findings(error, 'JSON')}"
            raise NotCarried(text) from None

    def _carried(self, typed: Any) -> Any:
        wrong: ValueError | None = None
        # By their aliases, as others send them, or else by their names: by which of them fields are read.
        for by_alias in (True, False):
            try:
                made = self._dump(typed, by_alias=by_alias)
                got = self._read(made)
                _check(typed, got)
                if got == typed:
                    return made
                if self._dump(got, by_alias=by_alias) == made:
                    _check(typed, got, by_value=True)
                    return made
            except (ValidationError, NotCarried) as error:
                wrong = wrong or error
            except (PydanticSerializationError, UnicodeDecodeError) as error:
                raise NotCarried(_unserialised(error)) from None
        if wrong is not None:
            raise wrong
        raise NotCarried(
            "it is read in another way than it is written: its fields need one alias each,"
            " and validators that leave alone what they have made"
        )

    def _dump(self, value: Any, *, by_alias: bool) -> Any:
        dump = partial(self._adapter.dump_python, value, by_alias=by_alias, round_trip=True)
        made = dump(mode="json", warnings="error")
        if self.is_secret:
            made = _revealed(made, dump())
        return made if self._sets is None else _in_order(made, self._sets)


def findings(error: ValidationError, name: str) -> str:
    """Return what pydantic finds wrong with the value of `name`, and where in it."""
    texts = []
    for each in error.errors(include_url=False, include_input=False)[:MAX_FINDINGS]:
        text = each["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        texts.append(f"{'/'.join(map(str, (name, *each['loc'])))}: {text}")
    return "; ".join(texts)


def fault_text(error: ValueError, name: str) -> str:
    """Return what is wrong with the value of `name`, of an error of pydantic or of a `Carrier`."""
    return findings(error, name) if isinstance(error, ValidationError) else f"{name}: {error}"


def reason(error: Exception) -> str:
    """Return why a type hint has no JSON form; pydantic's advice does not apply to tasks."""
    return str(error).partition("\n")[0].partition(". Set `arbitrary")[0]


def with_article(kind: type) -> str:
    """Return the name of a type, with its article."""
    name = kind.__name__
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"


def _unserialised(error: Exception) -> str:
    if re.search("utf-?8", str(error), re.IGNORECASE):
        return "bytes that are no text need the type hint pydantic.Base64Bytes"
    return f"no JSON form: {error}"


def _check(given: Any, got: Any, *, by_value: bool = False) -> None:
    if lost := _lost(given, got, by_value=by_value):
        raise NotCarried(lost)


def _refuse_iterators(value: Any, depth: int = 0) -> None:
    """Refuse what gives its items once only: looking at them takes them away."""
    if hasattr(type(value), "__next__"):
        raise NotCarried(
            f"{with_article(type(value))} gives its items once only: hand over a list of them"
        )
    if isinstance(value, (list, tuple, dict)) and depth < MAX_DEPTH:  # what is deeper is refused
        for each in value.values() if isinstance(value, dict) else value:
            _refuse_iterators(each, depth + 1)


def _lost(given: Any, got: Any, *, by_value: bool = False) -> str | None:
    """Return how a part is lost: it comes as another type, which is no base of its own or has fewer fields.

    Args:
        given: What is handed over.
        got: What comes of it.
        by_value: Whether the values are compared, too.
    """
    kind: Any = type(given)
    came: Any = type(got)
    if kind is came and kind in _VALUES and not by_value:
        return None
    parts = _parts(given, got)
    if parts is None:
        has_fields = _fields(kind) <= _fields(came)
        if kind not in _JSON and not (isinstance(given, came) and has_fields):
            types = f"{with_article(kind)} would come as {with_article(came)}"
            return f"{types}: its type hint does not tell them apart"
        if by_value and kind is came and isinstance(given, _VALUES) and _is_another(given, got):
            return f"{with_article(kind)} would come as another one"
        parts = [(getattr(given, name, None), getattr(got, name, None)) for name in _fields(kind)]
    return next((lost for each in parts if (lost := _lost(*each, by_value=by_value))), None)


def _parts(given: Any, got: Any) -> list[tuple[Any, Any]] | None:
    """Return the parts of two lists, dicts or sets, each beside what came of it; None of anything else."""
    if isinstance(given, dict) and isinstance(got, dict):
        return [*zip(given, got, strict=False), *zip(given.values(), got.values(), strict=False)]
    if isinstance(given, (list, tuple)) and isinstance(got, (list, tuple)):
        return list(zip(given, got, strict=False))
    if isinstance(given, (set, frozenset)) and isinstance(got, (set, frozenset)):
        kinds = set(map(type, got))  # they have no order
        return [(each, next(iter(got))) for each in given if kinds and type(each) not in kinds]
    return None


@lru_cache(maxsize=1024)
def _fields(kind: type) -> frozenset[str]:
    """Return the names of what an object of a type is made of, where known, without what stays behind."""
    if issubclass(kind, BaseModel):
        shown = {name for name, field in kind.model_fields.items() if not field.exclude}
        return frozenset({*shown, "model_extra"})
    return frozenset(each.name for each in fields(kind)) if is_dataclass(kind) else frozenset()


def _is_another(given: Any, got: Any) -> bool:
    if isinstance(given, datetime) and None not in (given.tzinfo, got.tzinfo):
        return bool(given - got)  # a time that a zone has twice equals none of another zone
    return bool(given != got and given == given)  # NaN is refused as such


def _in_order(made: Any, schema: Mapping[str, Any]) -> Any:
    """Return JSON in which what was a set is sorted: equal ones are the same to unique jobs and to limits.

    Where several alternatives are possible, it stays as it is.
    """
    if not isinstance(made, (dict, list)):
        return made
    schema = schema_of_kind(schema, made)
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}

    def part(name: int | str, value: Any) -> Any:
        inner = schema_of_part(schema, name)
        return _in_order(value, {**inner, **definitions}) if isinstance(inner, dict) else value

    if isinstance(made, dict):
        return {name: part(name, value) for name, value in made.items()}
    parts = [part(place, value) for place, value in enumerate(made)]
    return sorted(parts, key=msgspec.json.encode) if schema.get("uniqueItems") else parts


def _revealed(made: Any, bare: Any) -> Any:
    """Return JSON with what pydantic hides in it, of the same value as Python has it."""
    if hasattr(bare, "get_secret_value"):
        secret = bare.get_secret_value()
        return secret.decode() if isinstance(secret, bytes) else secret
    if isinstance(made, dict) and isinstance(bare, dict):
        parts = zip(made.items(), bare.values(), strict=True)
        return {name: _revealed(part, inner) for (name, part), inner in parts}
    if isinstance(made, list) and isinstance(bare, (list, tuple, set, frozenset)):
        return [_revealed(part, inner) for part, inner in zip(made, bare, strict=True)]
    return made
