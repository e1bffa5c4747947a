"""What limits look like to people."""

import pytest

from taskyard.policy.limits import describe, key_text, key_value, limits
from taskyard.store.controls import Limits
from taskyard.task import task


@pytest.mark.parametrize(
    ("rate", "starts", "per_ms"),
    [("100/m", 100, 60_000), ("5/10s", 5, 10_000), ("1/d", 1, 86_400_000), ("3/90m", 3, 5_400_000)],
)
def test_a_rate_is_starts_in_a_time(rate, starts, per_ms):
    """And is shown as it was given."""
    found = limits(None, rate)

    assert found == Limits(starts=starts, per_ms=per_ms)
    assert describe(found) == {"concurrency": None, "rate": rate}


@pytest.mark.parametrize(
    "rate", ["", "100", "/m", "0/m", "1/0s", "1/w", "20000/s", "-1/s", "1.5/s", "1/s "]
)
def test_a_strange_rate_is_refused(rate):
    """The text says what is accepted."""
    with pytest.raises(ValueError, match="must be like 100/m"):
        limits(None, rate)


@pytest.mark.parametrize("concurrency", [0, -1, 1_000_001])
def test_a_strange_concurrency_is_refused(concurrency):
    """None is what lifts a limit, not 0."""
    with pytest.raises(ValueError, match=f"concurrency={concurrency}"):
        limits(concurrency, None)


def test_the_key_is_found_wherever_it_is_given():
    """By position or by name; not at all, it is None."""
    names = ["a", "b"]

    assert key_value("b", names, [1, 2], {}) == 2
    assert key_value("b", names, [1], {"b": 2}) == 2
    assert key_value("b", names, [1], {}) is None
    assert key_value("only", names, [1], {"only": 3}) == 3


def test_long_values_of_a_key_have_a_short_name():
    """And different ones different names."""
    assert key_text("abc") == "abc"
    assert key_text([1, 2]) == "[1,2]"
    assert len(key_text("x" * 1000)) == 64
    assert key_text("x" * 1000) != key_text("x" * 1001)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"concurrency": "5"}, "concurrency='5': must be a whole number from 1 to 1000000"),
        ({"rate": 5}, "rate=5: must be like 100/m"),
        ({"rate": "often"}, "rate='often'"),
        ({"key": "a"}, "needs concurrency or rate"),
        ({"concurrency": 1, "key": "z"}, "no such parameter"),
        ({"unique_for": 0}, "unique_for=0"),
        ({"unique_for": "1h"}, "unique_for='1h': must be a number of seconds above 0"),
        ({"unique_for": 1, "unique_key": 5}, "no such parameter"),
        ({"unique_key": "a"}, "need unique_for"),
        ({"unique_for": 1, "unique_key": ("a", "z")}, "no such parameter"),
        ({"unique_for": 1, "unique_policy": "perhaps"}, "unique_policy='perhaps'"),
    ],
)
def test_a_strange_option_of_a_task_is_refused(options, text):
    """When the module is imported."""
    with pytest.raises(ValueError, match=text):

        @task(name="never", **options)
        def never(a: int) -> None:
            pass


def test_a_secret_value_stands_under_a_digest():
    """Names of limits are seen by whoever asks why a job waits."""

    def digest(data: bytes) -> str:
        return data.hex()

    texts = {key_text(value, digest) for value in ("4111", "4112", 4111)}

    assert texts == {b"4111".hex(), b"4112".hex()}
    assert key_text("4111") == "4111"
