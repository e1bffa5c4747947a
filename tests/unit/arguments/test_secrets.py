"""Which parameters are secret, what is shown of them, and that their task gets them all the same."""

from typing import Any

import pydantic
import pytest

from taskyard import Secret, message
from taskyard.arguments.binding import faults
from taskyard.arguments.conversion import converter
from taskyard.arguments.secrets import HIDDEN, redacted, restored, scrubbed
from taskyard.arguments.signature import describe

CARD = "4111-1111"


class Login(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


def charge(card: Secret[str], amount: int = 1, *, pin: pydantic.SecretStr | None = None) -> str:
    """Pay."""
    return f"{card} {amount} {pin.get_secret_value() if pin else None}"


def enter(login: Login, note: str = "") -> None:
    """Has a secret within a parameter."""


def many(*cards: Secret[str], **pins: Secret[int]) -> None:
    """Secrets without names."""


def plain(a: int, b: str = "x") -> None:
    """Nothing secret."""


@pytest.mark.parametrize(
    ("function", "names"),
    [(charge, ["card", "pin"]), (enter, ["login"]), (many, ["*", "**"]), (plain, [])],
)
def test_a_signature_names_its_secrets(function, names):
    """Marked, of pydantic's type, or with such a field inside."""
    assert describe(function)["secret"] == names


def test_the_schema_marks_a_secret_and_does_not_tell_its_default():
    """Programs that make forms of it know by `writeOnly`."""

    default = pydantic.SecretStr(CARD)

    def function(key: Secret[str] = CARD, pin: pydantic.SecretStr = default) -> None:
        """Has defaults."""

    told = describe(function)

    assert CARD not in str(told)
    assert all(part["writeOnly"] for part in told["schema"]["properties"].values())
    assert faults(told, [], {}) == []


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "shown"),
    [
        (charge, [CARD, 5], {}, ([HIDDEN, 5], {})),
        (charge, [], {"card": CARD, "amount": 5}, ([], {"card": HIDDEN, "amount": 5})),
        (charge, [CARD], {"pin": "1"}, ([HIDDEN], {"pin": HIDDEN})),
        # What belongs nowhere may be a misplaced secret.
        (charge, [1, 5, CARD], {"crad": CARD}, ([HIDDEN, 5, HIDDEN], {"crad": HIDDEN})),
        (enter, [{"user": "u", "password": CARD}, "n"], {}, ([HIDDEN, "n"], {})),
        (many, [CARD, CARD], {"a": 1}, ([HIDDEN, HIDDEN], {"a": HIDDEN})),
        (plain, [1], {"b": "y"}, ([1], {"b": "y"})),
        (plain, [1, 2, 3], {"c": "y"}, ([1, 2, 3], {"c": "y"})),
    ],
)
def test_what_is_secret_is_hidden(function, args, kwargs, shown):
    """Given by place or by name."""
    assert redacted(describe(function), args, kwargs) == shown


def test_of_an_unknown_task_all_is_hidden():
    """Nobody knows what of it is secret."""
    assert redacted(None, [1, CARD], {"a": 2}) == ([HIDDEN, HIDDEN], {"a": HIDDEN})


def test_a_secret_that_is_sent_back_as_shown_stays():
    """Also by another place than it had; what is not secret, or has no old value, is as it was sent."""
    told = describe(charge)

    assert restored(told, ([HIDDEN, 6], {"pin": HIDDEN}), ([CARD, 5], {"pin": "1"})) == (
        [CARD, 6],
        {"pin": "1"},
    )
    assert restored(told, ([], {"card": HIDDEN}), ([CARD, 5], {})) == ([], {"card": CARD})
    assert restored(told, (["new", HIDDEN], {}), ([CARD, 5], {})) == (["new", HIDDEN], {})
    assert restored(told, ([HIDDEN], {}), ([], {})) == ([HIDDEN], {})
    assert restored(describe(many), ([HIDDEN, "b"], {"x": HIDDEN}), (["a"], {"x": 1})) == (
        ["a", "b"],
        {"x": 1},
    )


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (charge, [[CARD]], {"pin": {CARD: CARD}}),
        (enter, [{"user": "u", "password": [CARD]}], {}),
        (enter, [{CARD: CARD}], {}),
        (many, [[CARD]], {"a": CARD}),
    ],
)
def test_a_fault_does_not_tell_the_value(function, args, kwargs):
    """Neither where it is checked nor where it is converted."""
    found = faults(describe(function), args, kwargs)

    assert found
    assert CARD not in "".join(map(str, found))
    with pytest.raises(TypeError, match="secret") as raised:
        converter(function)(args, kwargs)
    assert CARD not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_what_is_shown_is_no_value():
    """Sent as a new one it would be taken for the secret itself; elsewhere it is a text like others."""
    assert [fault.code for fault in faults(describe(charge), [HIDDEN], {"pin": HIDDEN})] == [
        "hidden",
        "hidden",
    ]
    assert [fault.code for fault in faults(describe(many), [HIDDEN], {})] == ["hidden"]
    assert faults(describe(plain), [1, HIDDEN], {}) == []


def test_the_task_gets_the_value():
    """A plain one, or pydantic's object, as its hint says."""
    args, kwargs = converter(charge)([CARD, 2], {"pin": "99"})

    assert charge(*args, **kwargs) == f"{CARD} 2 99"


def test_a_secret_object_is_sent_with_its_value():
    """A task that hands its own secret on need not open it."""
    made = message.Message(
        queue_name="q",
        task="a",
        args=[pydantic.SecretStr(CARD)],
        kwargs={},
        options=message.Options(),
        message_id="i",
        message_timestamp=0,
    )

    assert message.decode(message.encode(made)).args == [CARD]


def test_values_are_taken_out_of_texts():
    """Long ones, wherever they are within the arguments; others stay."""
    told: Any = describe(enter)
    login = {"user": "ada", "password": CARD, "more": [123456, {"deep": "secret-word"}]}

    text = scrubbed(f"ada: {CARD} 123456 secret-word note", told, [login, "note"], {})

    assert text == f"ada: {HIDDEN} {HIDDEN} {HIDDEN} note"
    assert scrubbed(CARD, describe(plain), [1, CARD], {}) == CARD
