"""Errors as logs tell them: what their texts may quote of what was sent is left out."""

import json
import os
import traceback

import msgspec
import pytest
from gunicorn.asgi.parser import InvalidChunkSize  # type: ignore[import-untyped]  # has no types

from taskyard.errors import StoreFault
from taskyard.telemetry.untold import in_words, untold

SECRET = "s3cr3t"


def raised(make):
    """Return the error that a call raises."""
    try:
        make()
    except Exception as error:  # noqa: BLE001 - handed back, whatever it is
        return error
    raise AssertionError("nothing was raised")


def chained():
    try:
        int(SECRET)
    except ValueError as error:
        raise OSError("no file is left") from error


def gunicorns():
    raise InvalidChunkSize(SECRET)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: int(SECRET), "builtins.ValueError"),
        (lambda: os.environ[SECRET], "builtins.KeyError"),
        (lambda: dict(**{SECRET: 1}, **{SECRET: 2}), "builtins.TypeError"),
        (lambda: json.loads(f'"{SECRET}'), "json.decoder.JSONDecodeError"),
        (lambda: msgspec.convert({"a": SECRET}, dict[str, int]), "msgspec.ValidationError"),
        (gunicorns, "gunicorn.asgi.parser.InvalidChunkSize"),
        (chained, "builtins.OSError: no file is left"),
    ],
)
def test_the_text_is_left_out_and_the_place_is_told(make, kind):
    """Of the error and of those that led to it."""
    told = "".join(traceback.format_exception(untold(raised(make))))

    assert SECRET not in told
    assert kind in told
    assert "in raised" in told


def test_in_words_it_is_the_type():
    """Where the text would quote."""
    assert in_words(ValueError(SECRET)) == "ValueError"
    assert in_words(StoreFault("the script failed")) == "the script failed"


def test_an_error_that_quotes_nothing_is_told_as_it_is():
    """Those of servers and of ours."""
    error = raised(lambda: (_ for _ in ()).throw(StoreFault("the script failed")))

    assert untold(error) is error


def test_errors_that_led_to_each_other_in_a_ring_are_told_too():
    """As many as are of use."""
    one, other = ValueError(SECRET), ValueError(SECRET)
    one.__context__, other.__context__ = other, one

    assert SECRET not in "".join(traceback.format_exception(untold(one)))
