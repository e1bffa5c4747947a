"""Wrong keys, counted by the address that they came from."""

import pytest

from services.api.auth import wrong_keys
from services.api.auth.errors import TooManyWrongKeys
from services.api.auth.wrong_keys import MAX_WRONG, WINDOW_S, WrongKeys
from taskyard.keys import new_token


class Clock:
    """A time that stands still until it is put on."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def counted(clock) -> WrongKeys:
    """What counts."""
    return WrongKeys(clock=clock)


RIGHT = "a-key-that-was-right-from-there-before"
GUESS = "a-key-of-an-operators-own-making-0"


def guess(counted: WrongKeys, address: str, times: int = MAX_WRONG) -> None:
    """Send so many wrong keys."""
    for _ in range(times):
        counted.check(address, GUESS)
        counted.wrong(address)


def is_heard(counted: WrongKeys, address: str, token: str = GUESS) -> bool:
    """Return whether a key from there is looked at."""
    try:
        counted.check(address, token)
    except TooManyWrongKeys:
        return False
    return True


def test_a_key_that_cannot_be_guessed_is_always_looked_at(counted):
    """A wrong one is one too many all the same."""
    guess(counted, "a")

    assert is_heard(counted, "a", new_token())
    with pytest.raises(TooManyWrongKeys):
        counted.wrong("a")


def test_after_a_while_an_address_is_heard_again(counted, clock):
    """The window begins with the first wrong key; what is refused does not make it longer."""
    guess(counted, "a", 1)
    clock.now_s += WINDOW_S / 2
    guess(counted, "a", MAX_WRONG - 1)
    assert not is_heard(counted, "a")

    clock.now_s += WINDOW_S / 2
    assert is_heard(counted, "a")
    guess(counted, "a", MAX_WRONG - 1)
    assert is_heard(counted, "a")
    guess(counted, "a", 1)
    assert not is_heard(counted, "a")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("", "10.0.0.1", False),
    ],
)
def test_addresses_of_one_network_of_ipv6_are_one(counted, one, other, is_same):
    """Whoever has one has all of them."""
    guess(counted, one)

    assert is_heard(counted, other) != is_same


def test_what_is_remembered_is_bounded(counted, monkeypatch):
    """The oldest are forgotten, of wrong keys and of right ones."""
    monkeypatch.setattr(wrong_keys, "MAX_REMEMBERED", 3)
    for number in range(4):
        guess(counted, f"10.0.0.{number}")
        counted.right(f"10.0.0.{number}", RIGHT)

    assert [is_heard(counted, f"10.0.0.{number}") for number in range(4)] == [True, *[False] * 3]
    assert [is_heard(counted, f"10.0.0.{number}", RIGHT) for number in range(4)] == [True] * 4
    guess(counted, "10.0.0.0")
    assert not is_heard(counted, "10.0.0.0", RIGHT)
