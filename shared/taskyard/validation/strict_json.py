"""Untrusted JSON: decoded to one meaning, or refused with the place that is wrong."""

import gc
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault, bounded, pointer_part
from taskyard.message import Undecodable
from taskyard.runtime.short_text import cut
from taskyard.validation.field_words import MAX_NAME_BYTES
from taskyard.validation.nesting import check_depth, too_deep

#: Longer whole numbers take Python too long to read.
MAX_DIGITS = 4_000
#: From here on a body is read without the collector of garbage.
LARGE_BYTES = 262_144


def decode(body: bytes) -> Any:
    """Return the value in `body`.

    Raises:
        Undecodable: If it is not JSON.
        InvalidSubmission: If a name comes twice in an object, which programs understand differently; if a
            number or a text is none that JSON or Unicode has; or if it is nested too deeply.
    """
    try:
        data = _plain(body)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _explained(body, error) from None
    check_depth(data, body)
    # Counting colons clears most bodies: they are at least as many as names, and a dict has each name once.
    if isinstance(data, (dict, list)) and body.count(b":") != _count_names(data):
        _refuse_repeated_names(body)
    return data


def _plain(body: bytes) -> Any:
    """Return the value in `body`, which may have one meaning or several."""
    if len(body) < LARGE_BYTES or not gc.isenabled():
        return msgspec.json.decode(body)
    # While a large value grows, the collector would look at all of it again and again: ten times the work.
    gc.disable()
    try:
        return msgspec.json.decode(body)
    finally:
        gc.enable()


def unsendable(value: Any, pointer: str = "") -> Fault | None:
    """Return the first number or text in `value` that JSON has no form for, or None.

    Args:
        value: Made of lists, dicts, numbers and texts.
        pointer: Where it is.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return Fault(pointer, "not_finite", "NaN, infinity and what is beyond them are not JSON")
    if isinstance(value, str) and not _is_unicode(value):
        return Fault(pointer, "not_unicode", "half a surrogate pair is not a character")
    for name, part in _parts(value):
        if isinstance(name, str) and not _is_unicode(name):
            return Fault(pointer, "not_unicode", "a name in it has half a surrogate pair")
        found = unsendable(part, f"{pointer}/{pointer_part(name)}")
        if found is not None:
            return found
    return None


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explained(body: bytes, error: Exception) -> Exception:
    """Return the error of a body that is not JSON: with the place, where Python can read it all the same."""
    try:
        data = json.loads(body, parse_int=_integer)
        fault = unsendable(data)
    except (ValueError, RecursionError):
        fault = None
    return Undecodable(str(error)) if fault is None else InvalidSubmission([fault])


def _integer(text: str) -> float:
    return int(text) if len(text) <= MAX_DIGITS else math.inf


def _count_names(value: dict[str, Any] | list[Any]) -> int:
    names, inner = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    for part in inner:
        if part and isinstance(part, (dict, list)):
            names += _count_names(part)
    return names


class _Repeated(dict[str, Any]):
    """An object in which a name comes twice."""

    name = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    repeated = _Repeated(made)
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            repeated.name = name
            break
        seen.add(name)
    return repeated


def _refuse_repeated_names(body: bytes) -> None:
    faults = bounded(_repeated(json.loads(body, object_pairs_hook=_object), ""))
    if faults:
        raise InvalidSubmission(faults)


def _repeated(value: Any, pointer: str) -> Iterator[Fault]:
    if isinstance(value, _Repeated):
        where = f"{pointer}/{pointer_part(value.name)}"
        yield Fault(
            where, "duplicate_name", f"{cut(value.name, MAX_NAME_BYTES)!r} is given more than once"
        )
    for name, part in _parts(value):
        yield from _repeated(part, f"{pointer}/{pointer_part(name)}")
