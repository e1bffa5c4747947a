"""The schemas of dead letters and replays, as `taskyard.dead_letters.document` writes them."""

from typing import Any

from services.api.openapi.shapes import (
    SECONDS,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    or_null,
    page_of,
    record,
    ref,
)
from services.api.routes.dead_letter_inputs import PurgeRequest, ReplayRequest

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
    body_bytes={**WHOLE, "description": "How long its message was."},
    kept_bytes={
        **WHOLE,
        "description": "How much of it is kept: less than all of what was too long, and cannot be replayed.",
    },
    body_sha256=or_null(
        {**TEXT, "description": "Of the whole message, where not all of it is kept."}
    ),
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
    "DeadLetterPage": page_of("DeadLetter"),
    "DeadLetterGroup": record(
        fingerprint=TEXT, count=WHOLE, first_seen=TIME, last_seen=TIME, example=ref("DeadLetter")
    ),
    "DeadLetterGroupPage": page_of("DeadLetterGroup"),
    "DeadLetterCount": record(
        matched={**WHOLE, "description": "How many fit."},
        done={**WHOLE, "description": "How many were taken; 0 for a dry run."},
    ),
    "Replay": _REPLAY,
    "ReplayList": page_of("Replay"),
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
