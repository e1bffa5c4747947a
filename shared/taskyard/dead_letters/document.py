"""What REST and the command line show of dead letters, their groups and replays."""

from typing import Any

import msgspec

from taskyard.catalogue import Catalogue
from taskyard.dead_letters import preview
from taskyard.job import rfc3339
from taskyard.store.dead_letters import DeadGroup, DeadLetter
from taskyard.store.replays import Replay


def letter_document(letter: DeadLetter, catalogue: Catalogue) -> dict[str, Any]:
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
        "preview": None if letter.is_job else preview.shown(letter, catalogue),
        "links": links,
    }


def group_document(group: DeadGroup, catalogue: Catalogue) -> dict[str, Any]:
    """Return a group as it is shown."""
    return {
        "fingerprint": group.fingerprint,
        "count": group.count,
        "first_seen": rfc3339(group.first_seen_ms),
        "last_seen": rfc3339(group.last_seen_ms),
        "example": letter_document(group.example, catalogue),
    }


def replay_document(replay: Replay) -> dict[str, Any]:
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
