"""What a task's limits look like to people: a number of jobs at a time, and a rate such as `100/m`."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from taskyard.store.controls import Limits

_RATE = re.compile(r"([0-9]{1,6})/([0-9]{0,6})(s|m|h|d)", re.ASCII)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
#: Of every limit with a rate, so many times are kept.
MAX_STARTS = 10_000
#: Longer values of a key are told apart by a digest. Characters.
MAX_KEY_CHARS = 100


def limits(concurrency: int | None, rate: str | None) -> Limits:
    """Return the limits that these two describe; None is no limit.

    Args:
        concurrency: Jobs that run at a time.
        rate: Jobs that start within a time, such as `100/m`, `5/10s`, `1000/h` or `1/d`.

    Raises:
        ValueError: If one of them makes no sense; the text says what is accepted.
    """
    # `@task` hands on whatever it was given.
    if concurrency is not None and (type(concurrency) is not int or not 1 <= concurrency <= 10**6):
        text = "must be a whole number from 1 to 1000000"
        raise ValueError(f"concurrency={concurrency!r}: {text}")
    starts, per_ms = (0, 0) if rate is None else _parse(rate)
    return Limits(concurrency=concurrency or 0, starts=starts, per_ms=per_ms)


def _parse(rate: object) -> tuple[int, int]:
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    starts = int(match[1]) if match else 0
    per_ms = int(match[2] or 1) * _UNIT_MS[match[3]] if match else 0
    if not 1 <= starts <= MAX_STARTS or per_ms < 1:
        text = f"must be like 100/m or 5/10s: 1 to {MAX_STARTS} starts in s, m, h or d"
        raise ValueError(f"rate={rate!r}: {text}")
    return starts, per_ms


def describe(limits: Limits) -> dict[str, Any]:
    """Return limits as `@task` takes them: `{"concurrency": …, "rate": …}`, None where there is none."""
    return {"concurrency": limits.concurrency or None, "rate": _text(limits)}


def _text(limits: Limits) -> str | None:
    if not limits.starts:
        return None
    unit, unit_ms = max(
        ((u, ms) for u, ms in _UNIT_MS.items() if limits.per_ms % ms == 0), key=lambda pair: pair[1]
    )
    count = limits.per_ms // unit_ms
    return f"{limits.starts}/{'' if count == 1 else count}{unit}"


def key_text(value: object, secret_digest: Callable[[bytes], str] | None = None) -> str:
    """Return what stands for a value of a task's `key` in the names of its limits.

    Args:
        value: The value.
        secret_digest: Of a secret, what makes a digest of it that nobody else can: it is shown.
    """
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if secret_digest is not None:
        return secret_digest(text.encode(errors="backslashreplace"))
    if len(text) <= MAX_KEY_CHARS:
        return text
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def key_value(
    key: str, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Return the argument called `key` of a call; None where it is not given."""
    if key in kwargs:
        return kwargs[key]
    index = names.index(key) if key in names else len(args)
    return args[index] if index < len(args) else None
