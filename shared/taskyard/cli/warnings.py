"""What loggers say while a command runs, for people: taskyard's warnings, each once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from taskyard.cli.output import say


class _Warnings(logging.Handler):
    """Keeps what taskyard warns of, without repetitions; what libraries log is not for who runs a command.

    Nor is what is logged of connections to RabbitMQ: commands that need them say what that means.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        package, _, module = record.name.partition(".")
        if package == "taskyard" and not module.startswith("rabbitmq."):
            self.texts[record.getMessage()] = None


@contextmanager
def each_once() -> Iterator[None]:
    """Say after what is done within what was warned of."""
    handler = _Warnings()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for text in handler.texts:
            say(text, err=True)
