"""How commands end that do not succeed."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from taskyard.cli.output import say

#: Exit codes: the job did not complete; wrong use; no such job; no server; it did not end in time.
FAILED, USAGE, NOT_FOUND, UNAVAILABLE, TIMED_OUT = 1, 2, 3, 4, 124


def fail(text: str | Sequence[str], code: int) -> NoReturn:
    """Say on standard error what went wrong, in one line or several, and exit."""
    for line in [text] if isinstance(text, str) else text:
        say(line, err=True)
    sys.exit(code)


def with_asked(*lines: str) -> list[str]:
    """Return lines on what is not there, with the store that was asked: it may be the wrong one."""
    from taskyard import config, whereabouts  # `--help` needs neither

    asked = whereabouts.asked(config.load())
    return [*lines] if any(asked in line for line in lines) else [*lines, f"asked at {asked}"]


def with_remedy(line: str, name: str) -> list[str]:
    """Return a line on a server that does not answer, with the variable that has its address."""
    from taskyard import config, whereabouts

    remedy = whereabouts.remedy(config.load(), name)
    return [line] if remedy in line else [line, remedy.removeprefix("; ")]
