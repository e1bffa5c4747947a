"""Replays: dead letters that are brought back one after the other, at a rate, by any scheduler."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from taskyard.store.pages import Cursor

ReplayState = Literal["running", "waiting_for_canary", "stopped", "completed"]


class NewReplay(Struct, frozen=True, kw_only=True):
    """A replay to start."""

    id: str
    #: JSON of what was asked for, to be shown.
    asked: str
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
    asked: str
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


class ReplayStore(Protocol):
    """The replays; see `base` for what holds for every method."""

    def add_to_replay(self, replay_id: str, found: Sequence[tuple[str, int]]) -> None:
        """Collect dead letters (id, time of death) for a replay that starts when it has all."""

    def start_replay(self, replay: NewReplay) -> None:
        """Start what was collected; one that has started stays as it is."""

    def take_replays(self, limit: int, lease_ms: int) -> tuple[list[ReplayBatch], bool]:
        """Hand over what the rates allow now; ends replays that are done, or whose canary died.

        Also returns whether any goes on, so that there will be more to take.
        """

    def replays(self, ids: Sequence[str]) -> list[Replay]:
        """Return those of these replays that there are; a finished one is kept for 30 days.

        Where they take more than `PAGE_BYTES`, the first ones.
        """

    def newest_replays(self, cursor: Cursor | None = None) -> tuple[list[Replay], Cursor | None]:
        """Return the newest hundred, of `PAGE_BYTES` at most (but for a single one), and where to go on.

        None: that was all.
        """

    def stop_replay(self, replay_id: str) -> None:
        """Replay no more of it; one that has ended stays as it is."""
