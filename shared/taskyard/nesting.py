"""How deeply JSON may be nested."""

from taskyard.errors import Fault, InvalidSubmission

#: Deeper than anyone means it, and safe for every program that reads the job later.
MAX_DEPTH = 64


def check_depth(data: object, body: bytes) -> None:
    """Refuse `data`, which `body` was decoded to, where it is nested too deeply.

    Raises:
        InvalidSubmission: If so.
    """
    # Counting brackets clears nearly every body: nothing is nested deeper than there are brackets.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(data, MAX_DEPTH):
        raise too_deep()


def too_deep() -> InvalidSubmission:
    """Return the error that says so."""
    text = f"the body is nested more than {MAX_DEPTH} levels deep"
    return InvalidSubmission([Fault("", "too_deep", text)])


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)
