"""How deeply JSON may be nested."""

from typing import Any

import msgspec

from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault

#: Deeper than anyone means it, and safe for every program that reads the job later.
MAX_DEPTH = 64


def check_depth(data: object, body: bytes) -> None:
    """Refuse `data`, which `body` was decoded to, where it is nested too deeply.

    Raises:
        InvalidSubmission: If so.
    """
    if isinstance(data, (dict, list)) and _may_be_deep(body) and _is_deeper(data, MAX_DEPTH):
        raise too_deep()


def check_json_depth(body: bytes) -> None:
    """Refuse JSON that is nested too deeply; it is decoded only where it may be.

    Raises:
        InvalidSubmission: If so.
    """
    if not _may_be_deep(body):
        return
    try:
        data = msgspec.json.decode(body)
    except RecursionError:
        raise too_deep() from None
    check_depth(data, body)


def too_deep() -> InvalidSubmission:
    """Return the error that says so."""
    text = f"the body is nested more than {MAX_DEPTH} levels deep"
    return InvalidSubmission([Fault("", "too_deep", text)])


def _may_be_deep(body: bytes) -> bool:
    """Return False for nearly every body: nothing is nested deeper than there are brackets."""
    return body.count(b"{") + body.count(b"[") > MAX_DEPTH


def _is_deeper(value: dict[str, Any] | list[Any], levels: int) -> bool:
    """Return whether there are more levels of values in a value than that."""
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, (dict, list)):
            if levels == 1:
                return True
            if part and _is_deeper(part, levels - 1):
                return True
    return False
