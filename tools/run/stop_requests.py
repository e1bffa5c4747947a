"""How often the user has asked the runner to stop: once is a request, twice is haste."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """The user asked to stop while the stack was still starting."""


class StopRequests:
    """Counts Ctrl-C, SIGTERM and a closed terminal; what waits asks it."""

    def __init__(self) -> None:
        """Start with none."""
        self._count = 0

    def listen(self) -> None:
        """Count the signals from now on; only the main thread may call this."""
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: self.add())

    def add(self) -> None:
        """Count one more."""
        self._count += 1

    def raise_if_any(self) -> None:
        """Let a wait end at the first request.

        Raises:
            StopRequested: If there was one.
        """
        if self._count:
            raise StopRequested

    def is_hurried(self) -> bool:
        """Return whether the user asked more than once."""
        return self._count > 1
