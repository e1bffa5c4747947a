"""What the store keeps of dead letters: an index to list, group, retry and purge them by."""

from typing import Literal

from msgspec import Struct


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
    #: Failed at this time or later, at this time or before; milliseconds since 1970.
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


class RetrySource(Struct, frozen=True, array_like=True):
    """What a retry starts from: the record, or (`state` is empty) the dead letter of one that was pruned."""

    id: str
    state: str
    attempts_made: int
    body: str


class RetryRequest(Struct, frozen=True, array_like=True):
    """One job to retry: it must have made so many attempts; `body` is its message from now on."""

    id: str
    attempts_made: int
    body: str


class RetryResult(Struct, frozen=True, array_like=True):
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
