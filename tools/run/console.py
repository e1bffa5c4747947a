"""What the runner shows: its own words, and the services' lines with their names before them."""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

NAME_WIDTH = 9
COLOURS = (36, 33, 35, 32, 34)
RESET = "\x1b[0m"


class Console:
    """One stream that many threads write whole lines to, coloured when it is a terminal."""

    def __init__(
        self, stream: TextIO = sys.stdout, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Write to `stream`; the variable NO_COLOR in `environ` switches the colours off."""
        self._stream = stream
        self._is_coloured = stream.isatty() and not environ.get("NO_COLOR")
        self._log_format = environ.get("LOG_FORMAT") or "auto"
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

    @property
    def log_format(self) -> str:
        """What LOG_FORMAT is to the services: they write into a pipe, and cannot see who reads along."""
        is_read = self._log_format == "auto" and self._stream.isatty()
        return "console" if is_read else self._log_format

    def say(self, text: str) -> None:
        """Write the runner's own words."""
        # A terminal that was closed must not keep the runner from stopping what it started.
        with self._lock, suppress(OSError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def lines_of(self, name: str) -> Callable[[str], None]:
        """Return a function that writes one line of the process `name`."""
        prefix = self._prefix(name)
        return lambda line: self.say(f"{prefix} {line}")

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{NAME_WIDTH}} |"
        if not self._is_coloured:
            return prefix
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{prefix}{RESET}"
