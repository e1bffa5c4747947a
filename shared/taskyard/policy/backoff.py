"""How long a job waits before it is tried again."""

import random

#: 2 to this power times any wait is past every limit; more would overflow a float.
_MAX_DOUBLINGS = 64


def retry_delay_s(failures: int, min_s: float, max_s: float, rng: random.Random) -> float:
    """Return the wait before the next attempt, in seconds: exponential backoff with full jitter.

    It is drawn evenly between `min_s` and a ceiling of `min_s` doubled `failures` times, so that jobs that
    failed together do not come back together. It is never above `max_s`, even where `min_s` is.

    Args:
        failures: Attempts that have failed so far; 1 after the first.
        min_s: Shortest wait; 0 means no wait at all.
        max_s: Longest wait.
        rng: Where the chance comes from.

    Raises:
        ValueError: If `failures` is below 0.
    """
    if failures < 0:
        raise ValueError(f"failures must be 0 or more, got {failures}")
    ceiling_s = min(max_s, min_s * 2.0 ** min(failures, _MAX_DOUBLINGS))
    return rng.uniform(min(min_s, max_s), ceiling_s)
