"""Values of Python as JSON and back, as a type hint says."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from taskyard.hints import is_plain_hint
from taskyard.misfits import of_kind, part_of
from taskyard.secrets import is_secret

#: What makes values of JSON what the hint says.
Convert = Callable[[Any], Any]

_JSON = (str, int, float, bool, type(None), list, dict)

#: Findings of pydantic that a text repeats.
MAX_FINDINGS = 10


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
    return partial(_of_results(hint).dump_python, mode="json", by_alias=True, warnings="error")


def result_reader(hint: Any) -> Convert:
    """Return what makes what `result_writer` has made a value of the hint again."""
    validate, encode = _of_results(hint).validate_json, msgspec.json.Encoder().encode
    return lambda value: validate(encode(value))


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
        schema = self._adapter.json_schema()
        self._sets = schema if b'"uniqueItems":true' in msgspec.json.encode(schema) else None
        #: Whether there is a secret in its values.
        self.is_secret = is_secret(schema, schema.get("$defs", {}))

    def to_json(self, value: Any) -> Any:
        """Return a value as what JSON has.

        Raises:
            ValidationError: If it is not what the hint says.
            NotCarried: If the hint does not carry it.
        """
        try:
            return self._carried(value)
        except ValueError:  # it may be what becomes a value of the hint, such as a dict for a model
            return self._carried(self._adapter.validate_python(value))

    def _carried(self, typed: Any) -> Any:
        wrong: ValidationError | None = None
        # By their aliases, as others send them, or else by their names: by which of them fields are read.
        for by_alias in (True, False):
            try:
                made = self._dump(typed, by_alias=by_alias)
                got = self._read(made)
                _check_types(typed, got)
                if got == typed or self._dump(got, by_alias=by_alias) == made:
                    return made
            except ValidationError as error:
                wrong = wrong or error
            except (PydanticSerializationError, UnicodeDecodeError) as error:
                raise NotCarried(_unserialised(error)) from None
        if wrong is not None:
            raise wrong
        raise NotCarried("it is read in another way than it is written: give its fields one alias")

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


def told(error: ValueError, name: str) -> str:
    """Return what is wrong with the value of `name`, of an error of pydantic or of a `Carrier`."""
    return findings(error, name) if isinstance(error, ValidationError) else f"{name}: {error}"


def reason(error: Exception) -> str:
    """Return why a type hint has no JSON form; what pydantic advises is not for whoever writes a task."""
    return str(error).partition("\n")[0].partition(". Set `arbitrary")[0]


def a(kind: type) -> str:
    """Return the name of a type, with its article."""
    name = kind.__name__
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"


def _unserialised(error: Exception) -> str:
    if re.search("utf-?8", str(error), re.IGNORECASE):
        return "bytes that are no text need the type hint pydantic.Base64Bytes"
    return f"no JSON form: {error}"


def _check_types(given: Any, got: Any) -> None:
    if lost := _lost(given, got):
        was, comes = map(a, lost)
        raise NotCarried(f"{was} would come as {comes}: its type hint does not tell them apart")


def _lost(given: Any, got: Any) -> tuple[type, type] | None:
    """Return the types of a part and of what it came back as, where that is another and no base of it."""
    if isinstance(given, dict) and isinstance(got, dict):
        pairs = zip(given.values(), got.values(), strict=False)
    elif isinstance(given, (list, tuple)) and isinstance(got, (list, tuple)):
        pairs = zip(given, got, strict=False)
    else:
        is_same = type(given) in _JSON or isinstance(given, type(got))
        return None if is_same else (type(given), type(got))
    return next((lost for each in pairs if (lost := _lost(*each)) is not None), None)


def _in_order(made: Any, schema: Mapping[str, Any]) -> Any:
    """Return JSON in which what was a set is sorted: equal ones are the same to unique jobs and to limits.

    Where several alternatives are possible, it stays as it is.
    """
    if not isinstance(made, (dict, list)):
        return made
    schema = of_kind(schema, made)
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}

    def part(name: int | str, value: Any) -> Any:
        inner = part_of(schema, name)
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
