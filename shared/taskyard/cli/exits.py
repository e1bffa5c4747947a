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
