"""How commands end that are broken off."""

import pytest

from taskyard.cli.exits import broken_off, half_way
from taskyard.errors import StoreUnavailable


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreUnavailable("away")])
def test_what_has_come_of_it_is_said_where_a_command_is_broken_off(error, capsys):
    """Such as the id of a job that was submitted: nobody could ask for it otherwise."""
    with pytest.raises(type(error)), broken_off("job-1 is submitted, and goes on"):
        raise error

    assert capsys.readouterr().err == "job-1 is submitted, and goes on\n"


def test_that_some_are_done_is_said_where_many_are_broken_off(capsys):
    """And what to do about the others."""
    with pytest.raises(KeyboardInterrupt), half_way("cancelled"):
        raise KeyboardInterrupt

    said = "some may be cancelled already: the same command goes on with the others\n"
    assert capsys.readouterr().err == said


def test_what_is_not_broken_off_says_nothing(capsys):
    """Other errors speak for themselves."""
    with pytest.raises(ValueError, match="x"), half_way("cancelled"):
        raise ValueError("x")
    with half_way("cancelled"):
        pass

    assert capsys.readouterr().err == ""
