"""How tests wait: by asking again and again until an answer or a deadline, never by a fixed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.005


def poll(predicate: Callable[[], T], deadline_s: float = 30.0, *, pause_s: float = PAUSE_S) -> T:
    """Return the first true answer of `predicate`.

    Raises:
        AssertionError: If it gave none within `deadline_s`; with its last answer.
    """
    deadline = time.monotonic() + deadline_s
    while not (answer := predicate()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {deadline_s:g} s; last answer: {answer!r}")
        time.sleep(pause_s)
    return answer
