"""A call of a described function: what is wrong with its arguments, and which parameter each belongs to."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from taskyard.arguments.secrets import HIDDEN, hides
from taskyard.faults import Fault, bounded, pointer_part
from taskyard.validation.field_words import no_such
from taskyard.validation.violations import is_valid, violations


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
            yield from self._violations(more, value, f"/args/{index}", "*")

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
                yield from self._violations(more, value, pointer, "**")
            else:
                yield Fault(pointer, "unknown_argument", no_such("argument", name, names))

    def check_bound(self) -> Iterator[Fault]:
        schema = self._description["schema"]
        for name in schema.get("required", []):
            if name not in self._values:
                yield Fault(f"/kwargs/{pointer_part(name)}", "missing", f"{name!r} is required")
        if is_valid({**schema, "required": []}, self._values):
            return
        definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        for name, value in self._values.items():
            part = {**schema["properties"][name], **definitions}
            yield from self._violations(part, value, self._pointers[name], name)

    def _bind(self, name: str, value: Any, pointer: str) -> Iterator[Fault]:
        self._values[name], self._pointers[name] = value, pointer
        yield from self._refuse_hidden(name, value, pointer)

    def _refuse_hidden(self, name: str, value: Any, pointer: str) -> Iterator[Fault]:
        if value == HIDDEN and hides(self._description, name):
            text = f"{HIDDEN!r} stands for a value that is not shown; send the value itself"
            yield Fault(pointer, "hidden", text)

    def _violations(
        self, schema: Mapping[str, Any], value: Any, pointer: str, name: str
    ) -> Iterator[Fault]:
        for fault in violations(schema, value, pointer):
            if hides(self._description, name):  # the texts tell values, and so may the path
                text = "this value, which is secret, is not accepted"
                yield Fault(pointer, fault.code, text)
            else:
                yield fault
