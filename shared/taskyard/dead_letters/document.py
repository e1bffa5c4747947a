"""What REST and the command line show of dead letters, their groups and replays."""

from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from taskyard.catalogue import Catalogue
from taskyard.dead_letters.preview import Preview
from taskyard.dead_letters.preview import shown as preview_of
from taskyard.document_fields import Seconds, Time, Whole
from taskyard.job import rfc3339
from taskyard.store.dead_letters import DeadGroup, DeadLetter
from taskyard.store.replays import Replay, ReplayState


class LetterError(TypedDict):
    """The error of the last attempt, or what was wrong with the message."""

    type: str
    message: str


class LetterDocument(TypedDict):
    """A job that failed, or a message that could not become one."""

    id: str
    job_id: Annotated[str | None, Meta(description="Null for what never was a job.")]
    queue: str
    task: str
    reason: str
    error: LetterError
    fingerprint: Annotated[str, Meta(description="The same for failures of one kind.")]
    attempts: Whole
    first_failed_at: Time
    failed_at: Time
    worker: str
    priority: Whole
    body_bytes: Annotated[Whole, Meta(description="How long its message was.")]
    kept_bytes: Annotated[
        Whole,
        Meta(
            description="How much of it is kept: less than all of what was too long, and cannot be replayed."
        ),
    ]
    body_sha256: Annotated[
        str | None, Meta(description="Of the whole message, where not all of it is kept.")
    ]
    preview: Preview | None
    links: dict[str, str]


class GroupDocument(TypedDict):
    """Dead letters of one failure."""

    fingerprint: str
    count: Whole
    first_seen: Time
    last_seen: Time
    example: LetterDocument


class ReplayLinks(TypedDict):
    """Where a replay is, and how it is stopped."""

    self: str
    stop: str


class ReplayDocument(TypedDict):
    """A replay of dead letters, with its progress."""

    id: str
    state: ReplayState
    asked: Annotated[dict[str, Any], Meta(description="The request.")]
    rate_per_s: Seconds | None
    canary: Whole
    total: Whole
    replayed: Annotated[Whole, Meta(description="Jobs that were made pending again.")]
    skipped: Annotated[Whole, Meta(description="Jobs that had gone their own way meanwhile.")]
    created_at: Time
    finished_at: Time | None
    reason: Annotated[str | None, Meta(description="Why it stopped.")]
    links: ReplayLinks


def letter_document(letter: DeadLetter, catalogue: Catalogue) -> LetterDocument:
    """Return a dead letter as it is shown: what is secret by the catalogue is hidden."""
    links = {"self": f"/v1/dead-letters/{letter.id}"}
    if letter.is_job:
        links["job"] = f"/v1/jobs/{letter.id}"
    return {
        "id": letter.id,
        "job_id": letter.id if letter.is_job else None,
        "queue": letter.queue,
        "task": letter.task,
        "reason": letter.reason,
        "error": {"type": letter.error_type, "message": letter.error_message},
        "fingerprint": letter.fingerprint,
        "attempts": letter.attempts,
        "first_failed_at": rfc3339(letter.first_failed_at_ms),
        "failed_at": rfc3339(letter.failed_at_ms),
        "worker": letter.worker,
        "priority": letter.priority,
        "body_bytes": letter.body_bytes,
        "kept_bytes": letter.kept_bytes if letter.is_cut else letter.body_bytes,
        "body_sha256": letter.body_sha256 or None,
        "preview": None if letter.is_job else preview_of(letter, catalogue),
        "links": links,
    }


def group_document(group: DeadGroup, catalogue: Catalogue) -> GroupDocument:
    """Return a group as it is shown."""
    return {
        "fingerprint": group.fingerprint,
        "count": group.count,
        "first_seen": rfc3339(group.first_seen_ms),
        "last_seen": rfc3339(group.last_seen_ms),
        "example": letter_document(group.example, catalogue),
    }


def replay_document(replay: Replay) -> ReplayDocument:
    """Return a replay as it is shown."""
    here = f"/v1/dead-letters/replays/{replay.id}"
    return {
        "id": replay.id,
        "state": replay.state,
        "asked": msgspec.json.decode(replay.request),
        "rate_per_s": replay.rate_per_s or None,
        "canary": replay.canary,
        "total": replay.total,
        "replayed": replay.replayed,
        "skipped": replay.skipped,
        "created_at": rfc3339(replay.created_at_ms),
        "finished_at": rfc3339(replay.finished_at_ms),
        "reason": replay.reason or None,
        "links": {"self": here, "stop": f"{here}/stop"},
    }
