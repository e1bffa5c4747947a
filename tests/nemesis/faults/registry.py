"""Where faults are entered."""

from collections.abc import Callable

from tests.nemesis.scene import Scene

Fault = Callable[[Scene], None]

FAULTS: dict[str, Fault] = {}


def fault(function: Fault) -> Fault:
    """Enter a fault under its function's name."""
    FAULTS[function.__name__] = function
    return function
