"""What a child process prints: passed on line by line, with the last lines kept."""

import threading
from collections import deque
from collections.abc import Callable
from typing import IO

TAIL_LINES = 20
JOIN_TIMEOUT_S = 1.0


def discard(line: str) -> None:
    """Take a line of output and do nothing with it."""


class ProcessOutput:
    """Reads a child's output in a thread of its own, so that the child never waits for a reader."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Pass each line, without its end, to `on_line`."""
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._reader: threading.Thread | None = None

    def follow(self, stream: IO[str]) -> None:
        """Read `stream` until it ends, and close it."""
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def last_lines(self) -> str:
        """Return the last lines as the end of a sentence; of an ended child, all it has written."""
        if self._reader is not None:
            # Not for ever: what the child started may hold the stream open.
            self._reader.join(JOIN_TIMEOUT_S)
        if not self._tail:
            return "; it printed nothing"
        return "; its last lines:\n" + "\n".join(f"  {line}" for line in list(self._tail))

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._tail.append(line.rstrip("\n"))
                self._on_line(line.rstrip("\n"))
