"""What the store keeps of dead letters: an index to list, group, retry and purge them by."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from taskyard.store.pages import Cursor


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One dead letter; times in milliseconds since 1970. Its message is in RabbitMQ."""

    #: The job's id, or for what never was a job an id of the dead letter's own.
    id: str
    is_job: bool
    queue: str
    task: str
    reason: str
    error_type: str
    error_message: str
    fingerprint: str
    attempts: int
    failed_at_ms: int
    first_failed_at_ms: int
    worker: str
    priority: int
    #: How long the message was.
    body_bytes: int
    #: How much of it RabbitMQ has: less where it was too long to be kept.
    kept_bytes: int = 0
    #: Of the whole, in hexadecimal digits, where only the beginning is kept; else empty.
    body_sha256: str = ""
    #: The beginning of the body, of what never was a job; `preview_encoding` says how: `text` or `base64`.
    preview: str = ""
    preview_encoding: str = "text"

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning of its message is kept: there is nothing to run or to send again."""
        return bool(self.body_sha256)


class DeadLetterFilter(Struct, frozen=True, kw_only=True):
    """Which dead letters; what is empty filters nothing."""

    queue: str = ""
    task: str = ""
    reason: str = ""
    error_type: str = ""
    fingerprint: str = ""
    #: Died at this time or later, at this time or before; milliseconds since 1970.
    after_ms: int = 0
    before_ms: int = 2**53 - 1
    jobs_only: bool = False


class DeadGroup(Struct, frozen=True, kw_only=True):
    """Dead letters with one fingerprint; times in milliseconds since 1970."""

    fingerprint: str
    count: int
    first_seen_ms: int
    last_seen_ms: int
    example: DeadLetter


class Revivable(Struct, frozen=True, array_like=True):
    """What a retry starts from: the record, or (`state` is empty) the dead letter of one that was pruned."""

    id: str
    state: str
    attempts_made: int
    body: str


class Revival(Struct, frozen=True, array_like=True):
    """One job to bring back: it must have made so many attempts; `body` is its message from now on."""

    id: str
    attempts_made: int
    body: str


class Revived(Struct, frozen=True, array_like=True):
    """What `retry` did with one job; `changed`: it is not as the caller thought, who should look again.

    `not_unique`: its lock is with another living job, `holder`.
    """

    id: str
    verdict: Literal["retried", "changed", "too_late", "not_unique", "unknown"]
    state: str
    queue: str
    now_ms: int
    holder: str = ""


class Removal(Struct, frozen=True, array_like=True):
    """Messages that have to leave a dead-letter queue: those of this id, up to this attempt."""

    queue: str
    id: str
    attempts: int


class DeadLetterStore(Protocol):
    """The index of dead letters; see `base` for what holds for every method."""

    def bury(self, letters: Sequence[tuple[DeadLetter, str]]) -> None:
        """Enter dead letters whose messages are confirmed, each with its body (used where no record has it).

        Those of an attempt that another one has taken the job from are entered as removals instead.
        """

    def find_dead(
        self, wanted: DeadLetterFilter, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[tuple[str, int]], Cursor | None]:
        """Return ids and times of death, newest first, and where to go on.

        A page may be short, or empty, while there are more: a call looks at a bounded number of entries.
        """

    def dead_letters(self, ids: Sequence[str]) -> list[DeadLetter | None]:
        """Return the dead letters, None where there is none of this id."""

    def dead_groups(
        self, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[DeadGroup], Cursor | None]:
        """Return the groups, that of the latest death first, and where to go on."""

    def dead_counts(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """Return the dead letters by queue and reason, and by queue the messages to be removed."""

    def revivable(self, ids: Sequence[str]) -> list[Revivable]:
        """Return what is known of these jobs, without those of which nothing is."""

    def retry(self, jobs: Sequence[Revival], *, replay_id: str = "") -> list[Revived]:
        """Make failed, cancelled and expired jobs pending again, and put them in the outbox.

        A unique one takes its lock again, unless another living job has it: then it stays as it is.

        Their dead letters leave the index, and become removals. A replay counts each job once; what is not
        part of it any more, or is stopped, is left alone.
        """

    def purge_dead(self, ids: Sequence[str], *, keep_records: bool = False) -> list[str]:
        """Remove dead letters, and the records of their jobs; return the ids of those that were there.

        The record of a job of which a message may still come stays.
        """

    def removals(self, limit: int) -> list[Removal]:
        """Return messages that may leave; those of a retried job once its new message is confirmed."""

    def removed(self, removals: Sequence[Removal]) -> None:
        """Forget removals that are done."""

    def unindexed(self, messages: Sequence[tuple[str, int]]) -> list[str]:
        """Return which of these messages (id, attempts) the index does not know."""

    def forget_dead(self, queue: str, letters: Sequence[tuple[str, int]]) -> int:
        """Take dead letters (id, time of death) whose messages are gone out of the index; return how many.

        One that has died again since stays, and one that has all that is left of its job.
        """

    def dead_bytes(self) -> dict[str, int]:
        """Return how many bytes the messages of the dead letters take, by queue."""

    def overdue_dead(
        self, queue: str, *, ttl_ms: int, max_count: int, max_bytes: int, limit: int
    ) -> list[str]:
        """Return dead letters past their time (0: there is none) or, oldest first, above a bound."""
