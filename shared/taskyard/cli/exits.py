"""How commands end that do not succeed."""

import sys
from typing import NoReturn

import click

#: Exit codes: the job did not complete; wrong use; no such job; no server; it did not end in time.
FAILED, USAGE, NOT_FOUND, UNAVAILABLE, TIMED_OUT = 1, 2, 3, 4, 124


def fail(text: str, code: int) -> NoReturn:
    """Say on standard error what went wrong, and exit."""
    click.echo(text, err=True)
    sys.exit(code)
