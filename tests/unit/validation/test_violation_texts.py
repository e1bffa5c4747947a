"""What is wrong with an argument: in plain words, with the value, and with what is accepted."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field

from tasks.demo import background_task
from taskyard.arguments.binding import faults
from taskyard.arguments.conversion import converter
from taskyard.arguments.signature import describe

#: Words of JSON Schema, of patterns and of libraries, which nobody has to know.
JARGON = re.compile(
    r"anyOf|oneOf|allOf|\$defs|\$ref|additionalProperties|propertyNames|enum|const|schema|keyword"
    r"|\[A-Z|\[a-z|\^|\\d|valid under|Input should|String should|regex|pattern|instance|validat",
    re.IGNORECASE,
)


class Person(BaseModel):
    """An object with bounds in it."""

    name: str
    age: Annotated[int, Field(ge=0, le=150)]


class Book(BaseModel):
    """Another one."""

    title: str
    pages: int


class Cat(BaseModel):
    """One of several that a field tells apart; it takes nothing else."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """The other."""

    kind: Literal["dog"]
    friends: list[Cat] = []


class Colour(Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: int = 0


CAT = {"kind": "cat", "lives": 9}
DOG = {"kind": "dog", "friends": [{"kind": "cat", "lives": 0.5}]}
Pair = Annotated[list[int], Field(min_length=2)]
Tagged = Annotated[Cat | Dog, Field(discriminator="kind")]
Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Airport = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="three capital letters")]

WORDS: list[tuple[Any, Any, list[str]]] = [
    (int | float, "two", [': "two" is not a number']),
    (int, "x", [': "x" is not a whole number']),
    (int, True, [": true is not a whole number"]),
    (float, None, [": null is not a number"]),
    (str, 3, [": 3 is not a text"]),
    (bool, "yes", [': "yes" is not true or false']),
    (None, 3, [": 3 is not null"]),
    (int | None, [], [": this list is not a whole number or null"]),
    (list[int], "x", [': "x" is not a list of whole numbers']),
    (list[int], [1, "x"], ['/1: "x" is not a whole number']),
    (list[int | str], [1, None], ["/1: null is not a whole number or a text"]),
    (dict[str, list[int]], {"a": [1, "x"]}, ['/a/1: "x" is not a whole number']),
    (set[int], [1, 1], [": an item comes twice, and each may come once only"]),
    (tuple[int, str], [1, 2], ["/1: 2 is not a text"]),
    (tuple[int, str], [1], [": a list of 1 is not a list of 2: a whole number, a text"]),
    (datetime, "soon", [': "soon" is not a time with a zone like 2026-11-24T10:00:00Z']),
    (date, "soon", [': "soon" is not a date like 2026-11-24']),
    (time, "soon", [': "soon" is not a time of day like 10:00:00']),
    (timedelta, "long", [': "long" is not a duration like PT1M30S']),
    (Decimal, "much", [': "much" is not a decimal number like 12.50']),
    (UUID, "x", [': "x" is not a UUID']),
    (AnyUrl, "x", [': "x" is not a URL']),
    (Colour, "pink", [': "pink" is not one of "red", "blue"']),
    (Colour | None, "pink", [': "pink" is not one of "red", "blue" or null']),
    (Literal["a", 1], "b", [': "b" is not one of "a", 1']),
    (Literal["a"], "b", [': "b" is not "a"']),
    (dict[Colour, int], {"x": 1}, [': a name in it, "x", is not one of "red", "blue"']),
    (Annotated[int, Field(ge=1)], 0, [": 0 is not a whole number of at least 1"]),
    (Annotated[float, Field(gt=0, lt=1)], 2, [": 2 is not a number above 0 and below 1"]),
    (Annotated[int, Field(multiple_of=5)], 2, [": 2 is not a whole number that is a multiple of 5"]),
    (Annotated[str, Field(max_length=2)], "xxx", [': "xxx" is not a text of at most 2 characters']),
    (Pair, [1], [": a list of 1 is not a list of at least 2 whole numbers"]),
    (Code, "x", [': "x" is not a text of the form that is asked for']),
    (Airport, "x", [': "x" is not a text of the form that is asked for: three capital letters']),
    (Person, "x", [": \"x\" is not Person (an object with 'name', 'age')"]),
    (Person, {"name": 1}, ["/age: 'age' is required", "/name: 1 is not a text"]),
    (Person | None, {"name": "x", "age": 200}, ["/age: 200 is not a whole number from 0 to 150"]),
    (Point, {"x": 1, "y": "z"}, ['/y: "z" is not a whole number']),
    (Point | list[Point], [{"x": "z"}], ['/0/x: "z" is not a whole number']),
    (dict[str, Person] | None, {"a": {"name": "x"}}, ["/a/age: 'age' is required"]),
    (Cat, {**CAT, "live": 1}, ["/live: there is no field 'live'; did you mean 'lives'?"]),
    (Tagged, DOG, ["/friends/0/lives: 0.5 is not a whole number"]),
    (Tagged, {"kind": "cow"}, ['/kind: "cow" is not one of "cat", "dog"']),
    (Tagged, {}, ["/kind: 'kind' is required: one of \"cat\", \"dog\""]),
    (Cat | Dog, {"kind": "cat"}, ["/lives: 'lives' is required"]),
    (
        Person | Book,
        {"title": 1},
        [
            ": this object is none of these. Person (an object with 'name', 'age'): 'name' is required; "
            "Book (an object with 'title', 'pages'): 'pages' is required"
        ],
    ),
    (
        list[int] | list[str],
        [1, "x"],
        [
            ': this list is none of these. a list of whole numbers: "x" is not a whole number; '
            "a list of texts: 1 is not a text"
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "texts"), WORDS)
def test_what_is_wrong_is_told_in_plain_words(hint, value, texts):
    """Where it is wrong inside of one of several alternatives, that is told, and not that none fits."""

    def run(a: Any) -> None: ...

    run.__annotations__["a"] = hint

    found = faults(describe(run), [value], {})

    assert [f"{each.pointer.removeprefix('/args/0')}: {each.detail}" for each in found] == texts
    assert not [each.detail for each in found if JARGON.search(each.detail + each.code)]


def test_a_wrong_type_is_told_by_the_worker_as_at_the_doors():
    """From Python the worker is the first to look at types."""
    with pytest.raises(TypeError, match=r'^b: "two" is not a number$'):
        converter(background_task.function)([1, "two"], {})

    (fault,) = faults(describe(background_task.function), [1, "two"], {})
    assert (fault.pointer, fault.code, fault.detail) == ("/args/1", "type", '"two" is not a number')


def test_what_a_validator_of_the_users_own_says_is_told():
    """The schema knows nothing of it."""

    class Even(BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def _even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("must be even")
            return n

    def run(a: Any) -> None: ...

    run.__annotations__["a"] = Even

    with pytest.raises(TypeError, match=r"^a/n: must be even$"):
        converter(run)([{"n": 1}], {})


def test_long_values_and_choices_are_told_in_part():
    """A text of what is wrong is read by people."""

    words: Any = Literal[tuple(f"word{n}" for n in range(100))]

    def run(a: words) -> None: ...

    fault, *_ = faults(describe(run), ["x" * 100_000], {})

    assert len(fault.detail) < 300
    assert '"word7" and 92 more' in fault.detail
