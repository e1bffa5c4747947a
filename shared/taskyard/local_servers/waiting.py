"""How the stack waits: by asking again and again until an answer or a deadline."""

import time
from collections.abc import Callable

POLL_INTERVAL_S = 0.05


def never() -> bool:
    """Return False: the answer of one who has all the time until the deadline."""
    return False


def nothing() -> None:
    """Do nothing between two questions."""


def wait_for(
    condition: Callable[[], bool], *, timeout_s: float, give_up: Callable[[], bool] = never
) -> bool:
    """Return whether `condition` came true within `timeout_s` and before `give_up` did."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline or give_up():
            return False
        time.sleep(POLL_INTERVAL_S)
    return True
