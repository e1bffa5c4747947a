"""Waiting jobs: what of them may still be changed, and how the store answers."""

from typing import Any, Literal, Protocol

from msgspec import Struct


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; None stays as it is. A time that has passed is now."""

    run_at_ms: int | None = None
    #: Milliseconds from now.
    delay_ms: int | None = None
    priority: int | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None


class Changed(Struct, frozen=True, array_like=True):
    """What `change` did: `changed`, `too_late` (it does not wait: it is in `state`) or `unknown`."""

    verdict: Literal["changed", "too_late", "unknown"]
    state: str


class WaitingStore(Protocol):
    """Jobs whose time has not come."""

    def change(self, job_id: str, change: Change) -> Changed:
        """Change a job that waits (scheduled or retrying); of any other, nothing changes.

        One that a limit or a pause holds back is due already: a time that has come leaves it there.
        """
