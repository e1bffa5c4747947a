"""Errors as logs may tell them: without a text that may quote what somebody has sent, secrets included."""

import msgspec

#: The texts of these say what value was wrong: "invalid literal for int() with base 10: 'what was sent'".
_QUOTING = (ValueError, TypeError, LookupError, AssertionError, msgspec.MsgspecError)
#: Libraries that read what comes from outside; their errors quote it, too.
_READERS = frozenset({"gunicorn", "jsonschema_rs", "werkzeug"})
#: Errors that led to each other, of which so many are told.
_CHAIN = 10


class Untold(Exception):
    """Stands for an error whose text is left out; its own text is the type of that error."""


def untold(error: BaseException, depth: int = 0) -> BaseException:
    """Return what stands for an error and for those that led to it, each with its traceback.

    Only those with a text that may be quoted are told as they are.
    """
    cause = error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__
    if not _may_quote(error) and cause is None:
        return error
    kind = type(error)
    text = "" if _may_quote(error) else f": {error}"
    made = Untold(f"{kind.__module__}.{kind.__qualname__}{text}")
    made.__traceback__ = error.__traceback__
    if cause is not None and depth < _CHAIN:
        made.__cause__ = untold(cause, depth + 1)
    return made


def in_words(error: BaseException) -> str:
    """Return the text of an error, or its type where the text may quote what was sent."""
    return type(error).__name__ if _may_quote(error) else str(error)


def _may_quote(error: BaseException) -> bool:
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, _QUOTING) or package in _READERS
