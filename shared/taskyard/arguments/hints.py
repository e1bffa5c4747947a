"""The type hints of a function, made of their texts where they are texts."""

import inspect
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

_PLAIN = frozenset({Any, object, str, int, float, bool, None, type(None), list, dict})


class Unknown:
    """Marks a hint that cannot be found when the program runs, such as one that only type checkers import.

    Args:
        text: The hint as it is written.
    """

    def __init__(self, text: str) -> None:
        self.text = text


class _Holder:
    """Something with one hint, as `get_type_hints` wants it."""

    def __init__(self, hint: Any) -> None:
        self.__annotations__ = {"hint": hint}


@lru_cache(maxsize=1024)
def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function; a hint that cannot be found is `Annotated[Any, Unknown(…)]`."""
    signature = inspect.signature(function)
    names: Mapping[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    return signature.replace(
        parameters=[
            each.replace(annotation=_resolved(each.annotation, names))
            for each in signature.parameters.values()
        ],
        return_annotation=_resolved(signature.return_annotation, names),
    )


def unknown(hint: Any) -> str | None:
    """Return what is wrong with a hint that cannot be found; None for any other."""
    marks = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Unknown)]
    if not marks:
        return None
    where = "import it outside of `if TYPE_CHECKING`"
    return f"{marks[0].text!r} cannot be found when the program runs: is it misspelt? Else {where}"


def is_plain_hint(hint: Any) -> bool:
    """Return whether all that a hint allows is JSON as it is, or it says nothing."""
    if hint is inspect.Parameter.empty:
        return True
    origin = get_origin(hint)
    if origin is Annotated:
        return is_plain_hint(get_args(hint)[0])
    if origin in (list, dict, Union, types.UnionType):
        return all(map(is_plain_hint, get_args(hint)))
    try:
        return hint in _PLAIN
    except TypeError:
        return False


def _resolved(hint: Any, names: Mapping[str, Any]) -> Any:
    if hint is inspect.Parameter.empty or hint is None or isinstance(hint, type):
        return hint
    try:
        return get_type_hints(_Holder(hint), {**names}, include_extras=True)["hint"]
    except (NameError, AttributeError):
        return Annotated[Any, Unknown(hint if isinstance(hint, str) else str(hint))]
