"""Arguments of `.delay()` that JSON does not have: carried by the hints, or refused with what to do."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AliasChoices,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    computed_field,
    field_validator,
)
from typing_extensions import TypedDict

from taskyard import Secret, message
from taskyard.arguments.binding import faults
from taskyard.arguments.conversion import converter
from taskyard.arguments.plain import is_plain
from taskyard.arguments.signature import describe
from taskyard.arguments.values import as_json
from taskyard.errors import InvalidSubmission
from taskyard.request import parse
from taskyard.task import Task, task

if TYPE_CHECKING:
    from fractions import Fraction as Share


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = 1
    WRITE = 2


class Item(BaseModel):
    name: str
    price: Decimal
    colour: Colour = Colour.RED


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = Field(alias="orderNumber")
    items: list[Item] = []
    at: datetime | None = None
    tags: set[str] = set()

    @computed_field  # type: ignore[prop-decorator]  # as pydantic has it
    @property
    def total(self) -> Decimal:
        return sum((item.price for item in self.items), Decimal(0))


class Renamed(BaseModel):
    """It is read by other names than it is written by."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    a: int = Field(0, serialization_alias="writtenA", validation_alias="readA")


class Lost(BaseModel):
    """Whatever it is written as, it is not read so."""

    a: int = Field(0, serialization_alias="writtenA", validation_alias=AliasChoices("x", "y"))


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, ser_json_bytes="base64", val_json_bytes="base64")

    at: datetime
    key: UUID
    raw: bytes


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Kitten(Cat):
    weeks: int


class Grown(BaseModel):
    """What has been read once becomes something else when it is read again."""

    n: int

    @field_validator("n")
    @classmethod
    def grow(cls, n: int) -> int:
        return n + 1


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    age: timedelta = timedelta(days=1)


class Odd(BaseModel):
    """A default of it has no form in a JSON Schema."""

    at: date
    raw: bytes = b"\xff"


class Login(BaseModel):
    name: str
    word: SecretStr


@dataclass
class Point:
    x: int
    at: date = date(2026, 1, 1)
    more: "list[Point]" = field(default_factory=list)


@dataclass
class Spot:
    """What it is as JSON is a point, too."""

    x: int


class Place(NamedTuple):
    name: str
    where: Point


class Row(TypedDict):
    id: UUID
    point: Point


class Tagged(BaseModel):
    words: frozenset[str]
    more: list[str] = []


class Numbers(RootModel[set[int]]):
    """A list without a name."""


Animal = Annotated[Cat | Dog, Field(discriminator="kind")]
NOW = datetime(2026, 11, 24, 10, 0, 0, 123456)
TODAY = NOW.date()
ID = UUID("0193a5d0-0000-7000-8000-000000000000")
ORDER = Order(
    orderNumber=7,
    items=[Item(name="é", price=Decimal("0.10"))],
    at=NOW.replace(tzinfo=UTC),
    tags={"a", "b"},
)

CARRIED: list[tuple[Any, Any]] = [
    (Order, ORDER),
    (Order | None, ORDER),
    (list[Order], [ORDER, ORDER]),
    (dict[str, Order], {"x": ORDER}),
    (dict[UUID, list[Order | None]], {ID: [ORDER, None]}),
    (tuple[Order, int], (ORDER, 1)),
    (Point, Point(1, more=[Point(2)])),
    (Place, Place("here", Point(1))),
    (Row, {"id": ID, "point": Point(3)}),
    (Numbers, Numbers({1, 2, 3})),
    (Animal, Dog(age=timedelta(seconds=1.5))),
    (Cat | Dog, Dog()),
    (list[Animal], [Cat(lives=1), Dog()]),
    (dict[str, float | date], {"x": 1, "y": TODAY}),
    (Strict, Strict(at=NOW.replace(tzinfo=UTC), key=ID, raw=b"\xff\xfe")),
    (Renamed, Renamed(a=3)),
    (datetime, NOW.replace(tzinfo=UTC)),
    (datetime, NOW.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (datetime, NOW.replace(tzinfo=ZoneInfo("Europe/Berlin"))),
    (date, NOW.date()),
    (time, NOW.time()),
    (timedelta, timedelta(days=-1, microseconds=5)),
    (timedelta, timedelta(days=400, hours=3)),
    (Decimal, Decimal("1234567890.12345678901234567890")),
    (Decimal, Decimal("1E+3")),
    (Decimal | None, Decimal("0.1")),
    (UUID, ID),
    (Colour, Colour.RED),
    (Colour | int, Colour.RED),
    (Size, Size.SMALL),
    (Right, Right.READ | Right.WRITE),
    (dict[Size, date], {Size.SMALL: NOW.date()}),
    (dict[Colour, int], {Colour.RED: 1}),
    (Odd, Odd(at=NOW.date(), raw=b"x")),
    (Word, Word.YES),
    (set[int], {1, 2, 3}),
    (frozenset[date], frozenset({NOW.date()})),
    (bytes, b"text"),
    (Base64Bytes, b"\xff\x00"),
    (Path, Path("/tmp/x")),
    (IPv4Address, IPv4Address("10.0.0.1")),
    (SecretStr, SecretStr("pass word")),
    (Login, Login(name="a", word=SecretStr("pass word"))),
    (list[Login], [Login(name="a", word=SecretStr("pass word"))]),
    (Secret[Decimal], Decimal("1.50")),
]


def run_with(hint: Any) -> Callable[..., Any]:
    """Return a function whose one parameter has the hint."""

    def run(a: Any) -> None: ...

    run.__annotations__["a"] = hint
    return run


def through_the_wire(value: Any) -> Any:
    """Return what the worker gets of what `.delay()` hands over."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(("hint", "value"), [*CARRIED, (datetime, NOW)])
def test_the_task_gets_what_was_given(hint, value):
    """Also the type, and all digits."""
    function = run_with(hint)

    args, kwargs = as_json(function, [value], {})
    (got,), _ = converter(function)(through_the_wire(args), kwargs)

    assert is_plain(args)
    assert (got, type(got)) == (value, type(value))
    assert not isinstance(value, Decimal) or str(got) == str(value)


@pytest.mark.parametrize(("hint", "value"), CARRIED)
def test_what_is_sent_is_what_the_catalogue_describes(hint, value):
    """So a job from Python may be changed and sent back over REST; all but times without a zone."""
    function = run_with(hint)
    args, _ = as_json(function, [value], {})

    assert faults(describe(function), args, {}) == []


def test_each_argument_goes_by_the_hint_of_its_parameter():
    """By place, by name, and those that a function takes any number of; what is JSON stays as it is."""

    def run(a: date, /, b, *more: Decimal, c: UUID, d: int = 1, **named: Colour): ...

    args, kwargs = as_json(
        run, [NOW.date(), {"x": [1]}, Decimal(1), 2], {"c": ID, "e": Colour.RED, "d": 5}
    )

    assert args == ["2026-11-24", {"x": [1]}, "1", 2]
    assert kwargs == {"c": str(ID), "e": "red", "d": 5}


def test_a_dict_for_a_model_and_a_model_in_it_are_taken():
    """What is meant is clear from the hint."""
    args, _ = as_json(run_with(Order), [{"orderNumber": 1, "at": NOW}], {})

    assert args[0]["at"] == NOW.isoformat()


@dataclass
class Town(Point):
    name: str = ""


class Holder(BaseModel):
    """Its own hints are what tells types apart."""

    model_config = ConfigDict(extra="allow")

    x: Any = None
    y: Point | Spot | None = None


class Pairs(Enum):
    ONE = (1, 2)


NEEDS = "needs a type hint to get through JSON: give the parameter one, a: "
APART = "its type hint does not tell them apart"
OTHERWISE = "it is read in another way than it is written"
LEFT_ALONE = "and validators that leave alone what they have made"
ONCE = "gives its items once only: hand over a list of them"
LMT = timezone(timedelta(minutes=53, seconds=28))
REFUSED: list[tuple[Any, Any, str]] = [
    (None, ORDER, f"an Order {NEEDS}Order"),
    (None, [ORDER], f"a list {NEEDS}list[Order]"),
    (None, {"x": {NOW}}, f"a dict {NEEDS}dict[str, set[datetime]]"),
    (None, NOW, f"a datetime {NEEDS}datetime"),
    (None, b"x", f"a bytes {NEEDS}pydantic.Base64Bytes"),
    (None, object(), "an object has no JSON form; hand over what it is made of"),
    (Any, NOW, f"a datetime would come as a str: {APART}"),
    (dict[str, Any], {"x": NOW}, f"a datetime would come as a str: {APART}"),
    (str | datetime, NOW, f"a datetime would come as a str: {APART}"),
    (list, [ORDER], f"an Order would come as a dict: {APART}"),
    (Point | Spot, Spot(1), f"a Spot would come as a Point: {APART}"),
    (Order, Cat(), "must be a valid dictionary or instance of Order"),
    (list[Order], [Cat()], "/0: must be a valid dictionary or instance of Order"),
    (str, NOW, "a datetime is not a text"),
    (int | float, NOW, "a datetime is not a number"),
    (bytes, b"\xff", "bytes that are no text need the type hint pydantic.Base64Bytes"),
    (Lost, Lost(x=1), f"{OTHERWISE}: its fields need one alias each, {LEFT_ALONE}"),
    (Grown, Grown(n=1), f"{OTHERWISE}: its fields need one alias each, {LEFT_ALONE}"),
    (Cat, Kitten(weeks=8), f"a Kitten would come as a Cat: {APART}"),
    (list[Cat | None], [Kitten(weeks=8)], f"a Kitten would come as a Cat: {APART}"),
    (Point, Town(1, name="x"), f"a Town would come as a Point: {APART}"),
    (Holder, Holder(x=NOW), f"a datetime would come as a str: {APART}"),
    (Holder, Holder(x=Cat()), f"a Cat would come as a dict: {APART}"),
    (Holder, Holder(x=SecretStr("pass word")), f"a SecretStr would come as a str: {APART}"),
    (Holder, Holder(y=Spot(1)), f"a Spot would come as a Point: {APART}"),
    (Holder, Holder.model_validate({"z": NOW}), f"a datetime would come as a str: {APART}"),
    (set[Any], {NOW.date()}, f"a date would come as a str: {APART}"),
    (dict[Any, int], {NOW.date(): 1}, f"a date would come as a str: {APART}"),
    (datetime, NOW.replace(tzinfo=LMT), "a datetime would come as another one"),
    (re.Pattern, re.compile("x", re.IGNORECASE), "a Pattern would come as another one"),
    (list[int], iter([1]), f"a list_iterator {ONCE}"),
    (list[list[int]], [(each for each in [1])], f"a generator {ONCE}"),
    (Pairs, Pairs.ONE, "what is written is not read back: JSON: must be (1, 2)"),
    (SecretStr, NOW, "the value, which is secret, is not accepted"),
    (Login, Cat(), "the value, which is secret, is not accepted"),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "text"), REFUSED)
def test_what_no_hint_carries_is_refused_with_what_to_do(hint, value, text):
    """It would come as something else."""

    def bare(a): ...

    with pytest.raises(InvalidSubmission) as caught:
        as_json(bare if hint is None else run_with(hint), [value], {})

    (fault,) = caught.value.faults
    assert (fault.pointer, fault.code, fault.detail) == (
        "/args/0",
        "not_json",
        f"a{text}" if text[0] == "/" else f"a: {text}",
    )


def test_all_that_is_refused_is_told_at_once():
    """By place and by name."""

    def run(a, b: Any = None): ...

    with pytest.raises(InvalidSubmission) as caught:
        as_json(run, [ORDER], {"b": NOW})

    assert [fault.pointer for fault in caught.value.faults] == ["/args/0", "/kwargs/b"]


def later(order: "Later", share: "Share | None" = None) -> "Later":
    """Its hints are of later, and of type checkers."""
    return order


class Later(BaseModel):
    n: int


def test_hints_may_be_texts():
    """Of what the module defines further down; one that is not there matters for values that need it."""
    args, _ = as_json(later, [Later(n=1), "1/2"], {})

    assert args == [{"n": 1}, "1/2"]
    with pytest.raises(InvalidSubmission, match=r"share: its type hint .* cannot be found"):
        as_json(later, [Later(n=1), Decimal(1)], {})


def test_a_hint_that_only_type_checkers_know_keeps_a_worker_from_starting():
    """Its task would get something else than it says; a return hint is left out."""
    with pytest.raises(TypeError) as caught:
        describe(later)

    wanted = "later: the type hint of 'share', 'Share | None' cannot be found when the program runs"
    assert str(caught.value).startswith(wanted)
    assert "import it outside of `if TYPE_CHECKING`" in str(caught.value)


@pytest.fixture
def handed_over(monkeypatch):
    """Return what tasks hand over."""
    found: list[Any] = []
    monkeypatch.setattr(Task, "submitter", lambda task, request: found.append(request))
    return found


def test_delay_and_apply_async_carry_alike(handed_over):
    """What is handed over is JSON already, so ids of unique jobs and limits are made of that."""

    @task(name="carry_alike")
    def carry(order: Order, at: datetime = NOW) -> None: ...

    carry.delay(ORDER)
    carry.apply_async((ORDER,), {"at": NOW}, countdown=1)
    carry.apply_async(({"orderNumber": 7},))

    first, second, third = handed_over
    assert first.args == second.args
    assert second.kwargs == {"at": NOW.isoformat()}
    assert third.args == [{"orderNumber": 7}]
    assert all(is_plain(each.args) for each in handed_over)


def test_a_set_has_one_form():
    """Equal sets may be in any order in Python, which would make unlike what is alike."""
    numbers = [8 * n for n in range(20)]
    orders = [Tagged(words=frozenset(map(str, some))) for some in (numbers, numbers[::-1])]
    made = [as_json(run_with(dict[str, Tagged | None]), [{"x": each}], {})[0] for each in orders]

    assert made[0] == made[1] == [{"x": {"words": sorted(map(str, numbers)), "more": []}}]
    assert as_json(run_with(list[int] | set[date]), [{TODAY}], {})[0] == [["2026-11-24"]]
    pairs = [
        as_json(run_with(tuple[int, set[int]]), [(1, {*each})], {})
        for each in (numbers, numbers[::-1])
    ]
    assert pairs[0] == pairs[1]
    kept = as_json(run_with(Tagged), [Tagged(words=frozenset(), more=["b", "a"])], {})[0]
    assert kept == [{"words": [], "more": ["b", "a"]}]


def test_unique_jobs_are_alike_by_the_json_of_their_arguments(handed_over):
    """However the same value was given."""

    @task(name="unique_orders", unique_for=60)
    def ship(order: Order, at: date = TODAY) -> None: ...

    ship.delay(ORDER)
    ship.delay(ORDER.model_copy(deep=True), NOW.date())
    ship.delay(json.loads(json.dumps(handed_over[0].args[0])))

    assert ship.options.unique is not None
    assert len({ship.options.unique.unique(each).lock for each in handed_over}) == 1


def test_a_secret_is_in_the_message_and_in_no_error():
    """The task has to get it."""
    args, _ = as_json(run_with(Login), [Login(name="a", word=SecretStr("pass word"))], {})

    assert args == [{"name": "a", "word": "pass word"}]
    assert parse({"task": "x", "args": args}).args == args
    assert "pass word" in message.encode(
        message.Message(
            queue_name="q",
            task="x",
            args=args,
            kwargs={},
            options=message.Options(),
            message_id="1",
            message_timestamp=0,
        )
    )


def test_a_hint_without_a_json_form_says_so():
    """Where the value is handed over, as where the worker starts."""
    with pytest.raises(InvalidSubmission, match=r"a: its type hint has no JSON form: .*Item"):
        as_json(run_with(pytest.Item), [ORDER], {})
