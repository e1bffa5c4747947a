"""How commands end that do not succeed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn

from taskyard.cli.output import say
from taskyard.errors import Unavailable

#: Exit codes: the job did not complete; wrong use; no such job; no server; it did not end in time; Ctrl-C.
FAILED, USAGE, NOT_FOUND, UNAVAILABLE, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 124, 130


def fail(text: str | Sequence[str], code: int) -> NoReturn:
    """Say on standard error what went wrong, in one line or several, and exit."""
    for line in [text] if isinstance(text, str) else text:
        say(line, err=True)
    sys.exit(code)


@contextmanager
def broken_off(text: str) -> Iterator[None]:
    """Say `text` where what is done within is interrupted, or a server goes away: what has come of it."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        say(text, err=True)
        raise


def half_way(done: str) -> AbstractContextManager[None]:
    """Say what it means for many things where what is `done` to them within is broken off."""
    return broken_off(f"some may be {done} already: the same command goes on with the others")


def with_asked(*lines: str) -> list[str]:
    """Return lines on what is not there, with the store that was asked: it may be the wrong one."""
    from taskyard import config
    from taskyard.runtime import whereabouts  # `--help` needs neither

    store_label = whereabouts.store_label(config.load())
    return (
        [*lines]
        if any(store_label in line for line in lines)
        else [*lines, f"asked at {store_label}"]
    )


def with_remedy(line: str, name: str) -> list[str]:
    """Return a line on a server that does not answer, with the variable that has its address."""
    from taskyard import config
    from taskyard.runtime import whereabouts

    remedy = whereabouts.remedy(config.load(), name)
    return [line] if remedy in line else [line, remedy.removeprefix("; ")]
