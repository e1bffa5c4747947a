"""Results as JSON and back: by the return hint, or else in the form that one expects."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel, Field, SecretStr, computed_field

from taskyard.arguments.results import encoder, reader
from taskyard.job import State
from taskyard.job_handle import JobHandle


class Colour(Enum):
    RED = "red"


class Order(BaseModel):
    number: int = Field(alias="orderNumber")
    total: Decimal = Decimal(0)
    at: datetime | None = None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic has it
    @property
    def label(self) -> str:
        return f"no {self.number}"


class Tree(BaseModel):
    words: set[str] = set()
    parts: "list[Tree]" = []


class Urgent(Order):
    by: date


class Login(BaseModel):
    name: str
    word: SecretStr


class Odd(BaseModel):
    """It is read by another name than it is written by."""

    a: int = Field(0, serialization_alias="b")


@dataclass
class Point:
    x: int
    orders: "list[Order] | None" = None


class Pair(NamedTuple):
    a: int
    b: date


class Row(msgspec.Struct):
    x: int
    order: Order | None = None


TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 10, 0, 0, 123456)
ID = UUID("0193a5d0-0000-7000-8000-000000000000")
ORDER = Order(orderNumber=1, total=Decimal("1.50"), at=NOW)
WRITTEN = {"orderNumber": 1, "total": "1.50", "at": "2026-11-24T10:00:00.123456", "label": "no 1"}


def function(hint: Any) -> Callable[..., Any]:
    """Return a function with this return hint; `...` is none."""

    def run() -> None: ...

    run.__annotations__ = {} if hint is ... else {"return": hint}
    return run


RESULTS: list[tuple[Any, Any, Any]] = [
    (Order, ORDER, WRITTEN),
    (Order | None, ORDER, WRITTEN),
    (Order | None, None, None),
    (list[Order], [ORDER], [WRITTEN]),
    (Point, Point(1, [ORDER]), {"x": 1, "orders": [WRITTEN]}),
    (Pair, Pair(1, TODAY), [1, "2026-11-24"]),
    (datetime, NOW, NOW.isoformat()),
    (datetime, NOW.replace(tzinfo=UTC), "2026-11-24T10:00:00.123456Z"),
    (timedelta, timedelta(seconds=90), "PT1M30S"),
    (Decimal, Decimal("0.10"), "0.10"),
    (UUID, ID, str(ID)),
    (Colour, Colour.RED, "red"),
    (set[int], {1}, [1]),
    (tuple[int, date], (1, TODAY), [1, "2026-11-24"]),
    (bytes, b"\xff\xfb", "//s="),
    (list[bytes], [b"\xff\xfb"], ["__s="]),
    (Path, Path("/tmp/x"), "/tmp/x"),
    (int, 3, 3),
    (str, "x", "x"),
    (None, None, None),
    (dict[str, Any], {"a": [1]}, {"a": [1]}),
]


@pytest.mark.parametrize(("hint", "result", "written"), RESULTS)
def test_a_result_is_kept_and_read_by_the_return_hint(hint, result, written, caplog):
    """REST shows the JSON; who waits for it in Python gets what the task returned."""
    made = json.loads(encoder(function(hint))(result))

    assert made == written
    assert reader(function(hint))(made) == result
    assert type(reader(function(hint))(made)) is type(result)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("result", "written"),
    [
        (ORDER, WRITTEN),
        ([ORDER], [WRITTEN]),
        (Point(1, [ORDER]), {"x": 1, "orders": [WRITTEN]}),
        (Row(1, ORDER), {"x": 1, "order": WRITTEN}),
        ({"at": NOW, "key": ID}, {"at": NOW.isoformat(), "key": str(ID)}),
        (Decimal("0.10"), "0.10"),
        (Colour.RED, "red"),
        (Path("/tmp/x"), "/tmp/x"),
        (deque([1]), [1]),
        (b"\xff\xfb", "//s="),
        (SecretStr("pass word"), "**********"),
    ],
)
def test_a_result_without_a_hint_has_the_form_that_one_expects(result, written):
    """It is read as JSON."""
    made = json.loads(encoder(function(...))(result))

    assert made == written
    assert reader(function(...))(made) == written


@pytest.mark.parametrize(
    ("hint", "result"), [(int, "x"), (int, NOW), (Order, "x"), (Order, NOW), (Decimal, Point(1))]
)
def test_a_result_that_is_not_what_the_hint_says_is_the_result(hint, result, caplog):
    """The work was done: it is logged, and comes as JSON."""
    with caplog.at_level(logging.WARNING):
        made = json.loads(encoder(function(hint))(result))
        got = reader(function(hint))(made)

    assert got == made
    assert hint is int or "a result is not what its hint says" in caplog.text


@pytest.mark.parametrize("hint", [Order, Order | None, list[Order]])
def test_of_a_derived_model_all_fields_are_kept(hint, caplog):
    """Whoever waits for it gets them as JSON: there is no telling that it was of that model."""
    urgent = Urgent(orderNumber=1, total=Decimal("1.50"), at=NOW, by=TODAY)
    written: Any = {**WRITTEN, "by": "2026-11-24"}
    result, written = ([urgent], [written]) if hint == list[Order] else (urgent, written)

    made = json.loads(encoder(function(hint))(result))

    assert made == written
    assert reader(function(hint))(made) == written
    assert "a result is not what its hint says" in caplog.text


def test_what_is_written_by_other_names_than_it_is_read_comes_as_json(caplog):
    """Else a field would silently be its default."""
    made = json.loads(encoder(function(Odd))(Odd(a=5)))

    assert made == {"b": 5}
    assert reader(function(Odd))(made) == {"b": 5}
    assert "read in another way than it is written" in caplog.text


def test_a_deep_result_of_sets_is_read_within_its_size(caplog):
    """Each level of it may be in another order when it is written again."""
    deep = Tree(words={*map(str, range(50))})
    for _ in range(60):
        deep = Tree(parts=[deep])

    written = encoder(function(Tree))(deep)
    turned = written.replace(b'"0"', b'"x"').replace(b'"1"', b'"0"').replace(b'"x"', b'"1"')

    assert reader(function(Tree))(json.loads(turned)) == deep
    assert caplog.records == []


def test_a_secret_in_a_result_is_no_value(caplog):
    """A model that had stars for a password would look like the one that was returned."""
    made = json.loads(encoder(function(Login))(Login(name="a", word=SecretStr("pass word"))))

    assert reader(function(Login))(made) == {"name": "a", "word": "**********"}
    assert "secrets in results are not kept" in caplog.text


@pytest.mark.parametrize("hint", [..., Order, int, Any])
def test_what_has_no_form_says_what_to_do(hint):
    """A forgotten `await`, and a generator."""
    encode = encoder(function(hint))

    with pytest.raises(TypeError, match="an `await` is missing"):
        encode(asyncio.sleep(0))
    with pytest.raises(TypeError, match="return a list of what it gives"):
        encode(each for each in [1])
    with pytest.raises(TypeError, match="type object"):
        encode(object())


class Store:
    """A store in which a job has ended with a result."""

    def __init__(self, result: Any) -> None:
        self._result = msgspec.Raw(json.dumps(result).encode())

    def wait(self, job_id: str, timeout_s: float) -> Any:
        return SimpleNamespace(state=State.COMPLETED, result=self._result)


def test_the_handle_of_a_task_gives_what_the_task_returned():
    """One of an id alone gives JSON."""
    client: Any = SimpleNamespace(store=Store(WRITTEN))

    assert JobHandle("j", client, function(Order)).get(timeout=1) == ORDER
    assert JobHandle("j", client).get(timeout=1) == WRITTEN
