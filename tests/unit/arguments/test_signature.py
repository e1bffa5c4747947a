"""What arguments a task takes: described for the catalogue, checked at the door, converted for the call."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pydantic
import pytest

from taskyard.arguments.binding import faults
from taskyard.arguments.conversion import converter
from taskyard.arguments.signature import describe


def plain(a, b=2):
    """Two arguments without hints."""


def typed(a: int, b: str = "x", *, c: list[float] | None = None) -> None:
    """Three arguments with hints."""


def open_ended(a: int, *more: int, **named: str) -> None:
    """Any number of each."""


def strict(a: int, /, b: int, *, c: int) -> None:
    """One of each kind."""


def nothing() -> None:
    """No arguments."""


def check(function: Any, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
    """Return pointer and code of each fault, from a description that has been through the store."""
    description = msgspec.json.decode(msgspec.json.encode(describe(function)))
    return [(fault.pointer, fault.code) for fault in faults(description, args, kwargs)]


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, [1], {}),
        (plain, [None, {"any": []}], {}),
        (plain, [], {"b": 1, "a": 2}),
        (typed, [1], {"c": [1, 2.5]}),
        (typed, [1, "y"], {"c": None}),
        (open_ended, [1, 2, 3], {"x": "y", "more": "z", "named": "w"}),
        (strict, [1, 2], {"c": 3}),
        (strict, [1], {"b": 2, "c": 3}),
        (nothing, [], {}),
    ],
)
def test_arguments_that_fit_have_no_faults(function, args, kwargs):
    """However they are given."""
    assert check(function, *args, **kwargs) == []


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "pointers"),
    [
        (plain, [], {}, ["/kwargs/a"]),
        (plain, [1, 2, 3], {}, ["/args"]),
        (plain, [1], {"a": 1}, ["/kwargs/a"]),
        (plain, [1], {"c": 1, "d/e": 1}, ["/kwargs/c", "/kwargs/d~1e"]),
        (typed, ["1"], {}, ["/args/0"]),
        (typed, [True], {}, ["/args/0"]),
        (typed, [1, 2], {"c": [1, "x"]}, ["/args/1", "/kwargs/c/1"]),
        (open_ended, [1, "2", 3], {"x": 1}, ["/args/1", "/kwargs/x"]),
        (strict, [], {"a": 1, "b": 1, "c": 1}, ["/kwargs/a", "/kwargs/a"]),
        (strict, [1, 2, 3], {}, ["/args", "/kwargs/c"]),
        (nothing, [1], {"a": 1}, ["/args", "/kwargs/a"]),
    ],
)
def test_each_fault_is_pointed_at(function, args, kwargs, pointers):
    """All of them at once."""
    assert [pointer for pointer, _ in check(function, *args, **kwargs)] == pointers


def test_a_fault_within_a_value_is_pointed_at():
    """However deep."""

    def nested(a: dict[str, list[int]]) -> None: ...

    assert [pointer for pointer, _ in check(nested, {"x/y": [1, "2"]})] == ["/args/0/x~1y/1"]


def test_models_enums_and_times_are_described():
    """What has a JSON Schema can be a hint."""

    class Colour(Enum):
        RED = "red"

    class Order(pydantic.BaseModel):
        number: int
        colour: Colour

    def sell(order: Order, at: datetime) -> None: ...

    # Hints in a function's own scope cannot be found by name.
    sell.__annotations__ = {"order": Order, "at": datetime}
    good = {"number": 1, "colour": "red"}

    assert check(sell, good, "2026-11-24T10:00:00Z") == []
    assert len(check(sell, {"number": "x", "colour": "blue"}, "2026-11-24T10:00:00Z")) == 2
    assert [pointer for pointer, _ in check(sell, good, "tomorrow")] == ["/args/1"]
    (order, at), _ = converter(sell)([good], {"at": "2026-11-24T10:00:00Z"})
    assert order == Order(number=1, colour=Colour.RED)
    assert isinstance(at, datetime)


def test_converted_arguments_are_what_the_hints_say():
    """Also those that a function takes any number of; what has no hint stays as it is."""

    def run(a: datetime, b, *more: datetime, **named: float): ...

    text = "2026-11-24T10:00:00Z"
    args, kwargs = converter(run)([text, text, text], {"x": 1})

    assert [type(value) for value in args] == [datetime, str, datetime]
    assert kwargs == {"x": 1.0}


def convert_and_call(function, args, kwargs):
    args, kwargs = converter(function)(args, kwargs)
    return function(*args, **kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([1, 2, 3], {}), ([1], {"b": 2, "c": 3}), ([], {"a": 1, "b": 2, "c": 3}), ([1, 2], {})],
)
def test_converted_arguments_can_be_called_with(args, kwargs):
    """However they were given."""

    def run(a: int, b: int, c: int = 3):
        return a, b, c

    assert convert_and_call(run, args, kwargs) == (1, 2, 3)


def test_arguments_that_do_not_fit_are_not_converted():
    """The error names the parameter whose value is wrong."""
    convert = converter(typed)

    for args in ([], [1, "x", []]):
        with pytest.raises(TypeError):
            convert(args, {"z": 1})
    with pytest.raises(TypeError):
        convert([1, "x", []], {})
    with pytest.raises(TypeError, match=r'^a: "x" is not a whole number$'):
        convert(["x"], {})


def test_a_hint_without_a_json_form_is_refused():
    """When the task is described, not when it runs."""

    def odd(a: pytest.Item) -> None: ...

    with pytest.raises(TypeError, match=r"^odd: the type hint of 'a' has no JSON form: .*Item"):
        describe(odd)


def test_a_default_without_a_json_form_is_fine():
    """It is never sent."""
    marker = object()

    def run(a: Any = marker) -> None: ...

    assert check(run) == []


def test_parameters_may_be_called_anything():
    """Also like pydantic's own names, or with an underscore."""

    def run(schema: int, model_config: int, _x: int, self: int, copy: int = 1) -> None: ...

    assert check(run, 1, 2, 3, 4, copy=5) == []
    assert [pointer for pointer, _ in check(run, 1, "x", 3, 4)] == ["/args/1"]


def listed(a: list[int], b: str = "") -> None:
    """A list and a text."""


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "last"),
    [
        (listed, [["x"] * 1_000], {}, "/args/0/99"),
        (open_ended, [1, *["x"] * 1_000], {}, "/args/100"),
        (open_ended, [1], {f"k{n}": 1 for n in range(1_000)}, "/kwargs/k99"),
        (listed, [[]], {f"k{n}": 1 for n in range(1_000)}, "/kwargs/k99"),
    ],
)
def test_no_more_faults_are_told_than_anyone_reads(function, args, kwargs, last):
    """The last one says that there are more."""
    found = check(function, *args, **kwargs)

    assert [pointer for pointer, _ in found[-2:]] == [last, ""]
    assert (len(found), found[-1]) == (101, ("", "more"))


def test_of_a_large_argument_the_first_fault_is_told():
    """Making one of each of its values takes a library seconds; other arguments have theirs all the same."""
    found = check(listed, ["x"] * 100_000, 7)

    assert found == [("/args/0/0", "type"), ("/args/0", "more"), ("/args/1", "type")]


class Item(pydantic.BaseModel):
    """Something with a list of its own."""

    numbers: list[int]
    more: "dict[str, Item] | None" = None


def nested(
    a: list[int] | None = None,
    b: dict[str, list[int]] | None = None,
    c: list[list[int] | str] | None = None,
    d: Item | None = None,
    e: list[int] | list[str] | None = None,
    f: tuple[int, list[int]] | None = None,
) -> None:
    """Lists within others, and in alternatives."""


MANY = ["x"] * 50_000


@pytest.mark.parametrize(
    ("name", "value", "pointer", "code"),
    [
        ("a", [*range(5_000), "x"], "/kwargs/a/5000", "type"),
        ("b", {"g": [1], "h/i": MANY}, "/kwargs/b/h~1i/0", "type"),
        ("c", [[1], "x", MANY], "/kwargs/c/2/0", "type"),
        (
            "d",
            {"numbers": [1], "more": {"k": {"numbers": MANY}}},
            "/kwargs/d/more/k/numbers/0",
            "type",
        ),
        ("d", {"other": MANY}, "/kwargs/d", "misfit"),
        ("e", [1, *MANY], "/kwargs/e", "misfit"),
        ("f", [1, MANY], "/kwargs/f/1/0", "type"),
        ("b", "x" * 100_000, "/kwargs/b", "type"),
    ],
)
def test_in_a_large_argument_the_place_is_found_that_is_wrong(name, value, pointer, code):
    """As far as it is clear which of the alternatives is meant; all errors of all would take seconds."""
    found = check(nested, **{name: value})

    assert found == [(pointer, code), (f"/kwargs/{name}", "more")]


def test_a_fault_repeats_little_of_what_was_sent():
    """Names and values may be as long as a body."""
    description = describe(listed)
    long = "\x01" * 100_000

    found = faults(description, [[long], 7], {long: 1})

    assert [fault.code for fault in found] == ["unknown_argument", "type", "more", "type"]
    assert max(len(msgspec.json.encode(fault)) for fault in found) < 1_000
    assert "there are: a, b" in found[0].detail


def test_a_decimal_number_is_described_alike_everywhere():
    """Its text is not any, also where a function takes any number of them."""

    def run(*more: Decimal, **named: Decimal): ...

    wrong = faults(describe(run), ["1.50", "abc"], {"x": "abc"})

    assert [(each.pointer, each.detail) for each in wrong] == [
        ("/args/1", '"abc" is not a decimal number like 12.50'),
        ("/kwargs/x", '"abc" is not a decimal number like 12.50'),
    ]
