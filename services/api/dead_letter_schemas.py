"""The schemas of dead letters and replays, and the documents that they describe."""

from typing import Any

import msgspec

from services.api import previews
from services.api.dead_letter_inputs import PurgeRequest, ReplayRequest
from services.api.schemas import SECONDS, TEXT, TIME, WHOLE, Schema, ref
from services.api.shapes import or_null, record
from taskyard.catalogue import Catalogue
from taskyard.job import rfc3339
from taskyard.store.dead_letters import DeadGroup, DeadLetter
from taskyard.store.replays import Replay


def _page(name: str) -> Schema:
    items = {"type": "array", "items": ref(name)}
    return record(items=items, next=or_null({**TEXT, "description": "Cursor of the next page."}))


_DEAD_LETTER = record(
    id=TEXT,
    job_id=or_null({**TEXT, "description": "Null for what never was a job."}),
    queue=TEXT,
    task=TEXT,
    reason=TEXT,
    error=record(type=TEXT, message=TEXT),
    fingerprint={**TEXT, "description": "The same for failures of one kind."},
    attempts=WHOLE,
    first_failed_at=TIME,
    failed_at=TIME,
    worker=TEXT,
    priority=WHOLE,
    body_bytes=WHOLE,
    preview=or_null(
        record(
            encoding={"type": "string", "enum": ["text", "base64"]},
            content={**TEXT, "description": "At most the first 2048 bytes of the body."},
        )
    ),
    links={"type": "object", "additionalProperties": TEXT},
)
_REPLAY = record(
    id=TEXT,
    state={
        "type": "string",
        "enum": ["running", "waiting_for_canary", "stopped", "completed"],
    },
    asked={"type": "object", "description": "The request."},
    rate_per_s=or_null(SECONDS),
    canary=WHOLE,
    total=WHOLE,
    replayed={**WHOLE, "description": "Jobs that were made pending again."},
    skipped={**WHOLE, "description": "Jobs that had gone their own way meanwhile."},
    created_at=TIME,
    finished_at=or_null(TIME),
    reason=or_null({**TEXT, "description": "Why it stopped."}),
    links=record(self=TEXT, stop=TEXT),
)
SCHEMAS: dict[str, Schema] = {
    "DeadLetter": _DEAD_LETTER,
    "DeadLetterPage": _page("DeadLetter"),
    "DeadLetterGroup": record(
        fingerprint=TEXT, count=WHOLE, first_seen=TIME, last_seen=TIME, example=ref("DeadLetter")
    ),
    "DeadLetterGroupPage": _page("DeadLetterGroup"),
    "DeadLetterCount": record(
        matched={**WHOLE, "description": "How many fit."},
        done={**WHOLE, "description": "How many were taken; 0 for a dry run."},
    ),
    "Replay": _REPLAY,
    "ReplayList": record(items={"type": "array", "items": ref("Replay")}),
}


def _flat(schema: Schema) -> Schema:
    """Return pydantic's schema with its definitions in place of references to them."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolve(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolve(part) for key, part in value.items()}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    flat: Schema = resolve(schema)
    return flat


SCHEMAS["PurgeRequest"] = _flat(PurgeRequest.model_json_schema())
SCHEMAS["ReplayRequest"] = _flat(ReplayRequest.model_json_schema())


def letter_document(letter: DeadLetter, catalogue: Catalogue) -> dict[str, Any]:
    """Return a dead letter as REST shows it: what is secret by the catalogue is hidden."""
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
        "preview": None if letter.is_job else previews.shown(letter, catalogue),
        "links": links,
    }


def group_document(group: DeadGroup, catalogue: Catalogue) -> dict[str, Any]:
    """Return a group as REST shows it."""
    return {
        "fingerprint": group.fingerprint,
        "count": group.count,
        "first_seen": rfc3339(group.first_seen_ms),
        "last_seen": rfc3339(group.last_seen_ms),
        "example": letter_document(group.example, catalogue),
    }


def replay_document(replay: Replay) -> dict[str, Any]:
    """Return a replay as REST shows it."""
    here = f"/v1/dead-letters/replays/{replay.id}"
    return {
        "id": replay.id,
        "state": replay.state,
        "asked": msgspec.json.decode(replay.asked),
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
