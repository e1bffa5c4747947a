"""A task's results as JSON, and back, as its return hint says."""

import inspect
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from taskyard.arguments.hints import is_plain_hint, signature_of, unknown
from taskyard.arguments.plain import is_plain

logger = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_sort_key = msgspec.json.Encoder(order="deterministic").encode


def encoder(function: Callable[..., Any]) -> Callable[[Any], bytes]:
    """Return what makes JSON of a function's results: by its return hint, or else in the form that is usual.

    It raises `TypeError` or `ValueError` where there is none. A result that is not what the hint says is
    logged, and is the function's result all the same.
    """
    hint = _hint(function)
    dump = None if is_plain_hint(hint) or hint is bytes else _dump(hint)

    def encode(result: Any) -> bytes:
        if dump is None or is_plain(result):
            return usual(result)
        try:
            return _encode(dump(result))
        except ValueError as error:
            facts = {"task": function.__name__}
            logger.warning("a result is not what its hint says: %s", error, extra=facts)
            return usual(result)

    return encode


def usual(result: Any) -> bytes:
    """Return the JSON of a result without a hint.

    Raises:
        TypeError: If there is no form that one would expect.
    """
    return msgspec.json.encode(result, enc_hook=_usual)


@lru_cache(maxsize=1024)
def reader(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return what makes a result, as JSON has it, what the function's return hint says.

    One that is not what the hint says stays as it is, which is logged; so does one whose hint has secrets, of
    which there are only stars.
    """
    hint = _hint(function)
    if is_plain_hint(hint):
        return _same
    from pydantic import PydanticUserError

    from taskyard.arguments import typed_json

    try:
        read, write = typed_json.result_reader(hint), _dump(hint)
        has_secrets = typed_json.has_secrets(hint)
    except (PydanticUserError, TypeError):
        return _same

    def typed(result: Any) -> Any:
        if has_secrets:
            logger.warning("a result is given as JSON: secrets in results are not kept")
            return result
        try:
            made = read(result)
            # Of bytes there are two forms in base64.
            if write is None or hint is bytes or _is_same(write(made), result):
                return made
            why = "it is read in another way than it is written"
        except ValueError as error:
            why = typed_json.fault_text(error, "result")
        logger.warning("a result is not what its hint says: %s", why)
        return result

    return typed


def _hint(function: Callable[..., Any]) -> Any:
    hint = signature_of(function).return_annotation
    if (text := unknown(hint)) is not None:
        logger.warning("a return hint is left out: %s", text, extra={"task": function.__name__})
        return Any
    return Any if hint is inspect.Signature.empty else hint


def _dump(hint: Any) -> Callable[[Any], Any] | None:
    from pydantic import PydanticUserError

    from taskyard.arguments import typed_json

    try:
        return typed_json.result_writer(hint)
    except (PydanticUserError, TypeError):
        return None


def _is_same(again: Any, result: Any) -> bool:
    """Return whether JSON is the same but for the order in lists: those that were sets have none."""
    return bool(again == result) or _in_order(again) == _in_order(result)


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(part) for name, part in value.items()}
    return sorted(map(_in_order, value), key=_sort_key) if isinstance(value, list) else value


def _same(value: Any) -> Any:
    return value


def _usual(value: Any) -> Any:
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("it is a coroutine: an `await` is missing")
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise TypeError("it is a generator: return a list of what it gives")
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value, by_alias=True, bytes_mode="base64", fallback=_unknown)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from None


def _unknown(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, enc_hook=_usual)
    raise TypeError(f"objects of type {type(value).__name__} have none")
