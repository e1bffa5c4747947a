"""Which values of Python are JSON as they are; looking costs less than encoding them."""

from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})
#: Numbers as names become texts, as JSON has them.
_NAMES = frozenset({str, int})


def is_plain(value: Any) -> bool:
    """Return whether a value is made of lists, tuples, dicts, texts, numbers, truth values and None alone.

    One that is nested too deeply to look at is: it is refused for that.
    """
    try:
        return _is_plain(value)
    except RecursionError:
        return True


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        if not _NAMES.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind in _SCALARS
    return _SCALARS.issuperset(map(type, value)) or all(map(_is_plain, value))
