"""What loggers say while a command runs, for people: taskyard's warnings, each once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from taskyard.cli.output import say
from taskyard.errors import Unavailable


class _Warnings(logging.Handler):
    """Keeps what taskyard warns of, without repetitions; what libraries log is not for who runs a command."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "taskyard":
            self.texts[record.getMessage()] = None


@contextmanager
def each_once() -> Iterator[None]:
    """Say after what is done within what was warned of, unless it ends in an error that says the same."""
    handler = _Warnings()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    except Unavailable:
        handler.texts.clear()
        raise
    finally:
        root.removeHandler(handler)
        for text in handler.texts:
            say(text, err=True)
