"""Replays: dead letters that are retried one after the other, at a rate, by any scheduler."""

from typing import Literal

from msgspec import Struct

ReplayState = Literal["running", "waiting_for_canary", "stopped", "completed"]


class NewReplay(Struct, frozen=True, kw_only=True):
    """A replay to start."""

    id: str
    #: JSON of the request, to be shown.
    request: str
    #: Jobs a second; 0: as fast as it goes.
    rate_per_s: float = 0
    #: So many jobs first, the others only once these have completed; 0: no canary.
    canary: int = 0
    #: JSON of an edit of the only job (`args`, `kwargs`), or empty.
    edit: str = ""


class Replay(Struct, frozen=True, kw_only=True):
    """A replay as it is; times in milliseconds since 1970."""

    id: str
    state: ReplayState
    request: str
    rate_per_s: float
    canary: int
    total: int
    #: Jobs that are pending again, and those that had gone their own way meanwhile.
    replayed: int
    skipped: int
    created_at_ms: int
    finished_at_ms: int | None
    #: Why it stopped, or empty.
    reason: str


class ReplayBatch(Struct, frozen=True, array_like=True):
    """What is to be replayed now; the caller has it for a while, then another gets it."""

    replay_id: str
    edit: str
    ids: list[str]
