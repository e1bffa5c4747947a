"""How tests wait: by asking again and again until an answer or a deadline, never by a fixed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: At first; a wait that has lasted asks less often, for the questions cost more than they gain.
PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1
#: How much longer a wait may be for that.
PAUSE_SHARE = 0.05


def poll(predicate: Callable[[], T], deadline_s: float = 30.0, *, pause_s: float = PAUSE_S) -> T:
    """Return the first true answer of `predicate`.

    Raises:
        AssertionError: If it gave none within `deadline_s`; with its last answer.
    """
    began = time.monotonic()
    while not (answer := predicate()):
        waited_s = time.monotonic() - began
        if waited_s >= deadline_s:
            raise AssertionError(f"not within {deadline_s:g} s; last answer: {answer!r}")
        time.sleep(max(pause_s, min(waited_s * PAUSE_SHARE, LONGEST_PAUSE_S)))
    return answer
