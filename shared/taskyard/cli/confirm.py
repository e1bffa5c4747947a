"""The question before what cannot be undone."""

import sys

import click

from taskyard.cli.exits import USAGE, fail

YES = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def confirm(what: str, *, is_sure: bool) -> None:
    """Go on only if the user says so, by `--yes` or at the terminal; otherwise end the command.

    Args:
        what: What is about to happen, as a sentence without its end.
        is_sure: Whether `--yes` was given.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        fail(f"{what}: give --yes if that is meant (nothing was done)", USAGE)
    click.confirm(f"{what}. Go on?", abort=True, err=True)


def count_of(count: int, noun: str, *, is_complete: bool = True) -> str:
    """Return how many there are of something, such as `1 job` or `at least 20 jobs`."""
    return f"{'' if is_complete else 'at least '}{count} {noun}{'' if count == 1 else 's'}"
