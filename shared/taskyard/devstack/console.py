"""What the runner shows: its own words, and the services' lines with their names before them."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

NAME_WIDTH = 9
COLOURS = (36, 33, 35, 32, 34)
RESET = "\x1b[0m"


class Console:
    """One stream that many threads write whole lines to, coloured when it is a terminal."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        """Write to `stream`; the variable NO_COLOR switches the colours off."""
        self._stream = stream
        self._is_coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

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
