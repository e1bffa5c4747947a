"""The JSON Schemas of what travels over RabbitMQ, made of the models that read and write it."""

from typing import Any

import msgspec

from services.api.openapi import schemas
from services.api.openapi.shapes import TEXT, TIME, WHOLE, Schema, ref
from taskyard.job import STATE_FIELDS
from taskyard.message import ID_PATTERN, MAX_PRIORITY, NAME_PATTERN, Message
from taskyard.submission import (
    MAX_BATCH_JOBS,
    Accepted,
    AcceptedBatch,
    Partial,
    Refused,
    Submission,
)

_PRIORITY: Schema = {"type": "integer", "minimum": 0, "maximum": MAX_PRIORITY}
_JSON: Schema = {"const": "application/json"}
_PERSISTENT: Schema = {"const": 2, "description": "Persistent: it survives a restart of RabbitMQ."}
_NAME: Schema = {"type": "string", "maxLength": 255}


def all_schemas() -> dict[str, Schema]:
    """Return every schema by its name."""
    published = schemas.all_schemas()
    return {
        **_models(),
        "Submission": Submission.model_json_schema(),
        "SubmissionBatch": {
            "type": "array",
            "items": ref("Submission"),
            "minItems": 1,
            "maxItems": MAX_BATCH_JOBS,
            "description": "Jobs of one message: all are checked before the first is made.",
        },
        "Ended": _ended(published["Job"]),
        "Job": published["Job"],
        **{name: published[name] for name in ("Attempt", "JobError", "Progress")},
        "SubmissionProperties": _submission_properties(),
        "JobProperties": _job_properties(),
        "DeadLetterProperties": _dead_letter_properties(),
        "ReplyProperties": _reply_properties(),
    }


def _models() -> dict[str, Schema]:
    kinds = [Message, Accepted, AcceptedBatch, Partial, Refused]
    _, made = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    found: dict[str, Any] = dict(made)
    # As others than Python write patterns; and a docstring's sections are for who reads the code.
    found["Message"]["properties"]["message_id"]["pattern"] = ID_PATTERN
    for each in found.values():
        each["description"] = each["description"].partition("\n")[0]
    return found


def _ended(job: Schema) -> Schema:
    """Return the schema of a job's document as a reply: with a status, and perhaps without some fields."""
    names = [name for name in job["properties"] if name not in STATE_FIELDS]
    omitted = {"type": "array", "items": {"type": "string", "enum": names}}
    return {
        "type": "object",
        "description": "How a job ended: its document, without what would be too large. Where another "
        "producer or door made it, its state only.",
        "properties": {
            "status": {"const": "ended"},
            **job["properties"],
            "state": {"enum": ["completed", "failed", "cancelled", "expired"]},
            "omitted": {**omitted, "description": "The fields that were left out."},
        },
        "required": ["status", "omitted", *STATE_FIELDS],
    }


def _properties(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _submission_properties() -> Schema:
    return _properties(
        message_id={
            "type": "string",
            "pattern": ID_PATTERN,
            "description": "The job's id, where the body has none; in an array, what ids begin with.",
        },
        priority={**_PRIORITY, "description": "The job's, where the body has none."},
        reply_to={
            **_NAME,
            "description": "`amq.rabbitmq.reply-to`, or a queue `amq.gen-…` or with REPLY_QUEUE_PREFIX.",
        },
        correlation_id={
            **_NAME,
            "description": "Comes back with replies; a long one tells its producer from others.",
        },
        delivery_mode=_PERSISTENT,
        content_type=TEXT,
        headers=_properties(traceparent={**TEXT, "description": "Trace context (W3C)."}),
    )


def _job_properties() -> Schema:
    return _properties(
        message_id={"type": "string", "pattern": ID_PATTERN, "description": "The job's id."},
        type={"type": "string", "pattern": NAME_PATTERN, "description": "The task."},
        priority={**_PRIORITY, "description": "What RabbitMQ orders by."},
        timestamp={**WHOLE, "description": "When it was published, in seconds since 1970."},
        content_type=_JSON,
        delivery_mode=_PERSISTENT,
        app_id=TEXT,
        headers=_properties(
            **{
                "taskyard-attempt": {
                    "type": "integer",
                    "minimum": 2,
                    "description": "The attempt, from the second on; only taskyard sets it.",
                },
                "traceparent": {**TEXT, "description": "Trace context (W3C)."},
            }
        ),
    )


def _reply_properties() -> Schema:
    return _properties(
        ("content_type", "delivery_mode", "app_id"),
        correlation_id={**_NAME, "description": "That of the submission."},
        message_id={**TEXT, "description": "Of an outcome: the job's id."},
        type={**TEXT, "description": "Of an outcome: the task."},
        content_type=_JSON,
        delivery_mode=_PERSISTENT,
        app_id={"const": "taskyard"},
    )


def _dead_letter_properties() -> Schema:
    return _properties(
        message_id=TEXT,
        type=TEXT,
        priority=_PRIORITY,
        headers=_properties(
            ("taskyard-reason", "taskyard-dead-letter-id", "taskyard-fingerprint"),
            **dead_letter_headers(),
        ),
    )


def dead_letter_headers() -> dict[str, Schema]:
    """Return the schemas of a dead letter's headers."""
    return {
        "taskyard-reason": {**TEXT, "description": "Why: `retries_exhausted`, `invalid`, …"},
        "taskyard-dead-letter-id": {**TEXT, "description": "The job's id, or one of its own."},
        "taskyard-fingerprint": {**TEXT, "description": "The same for what died of the same."},
        "taskyard-error-type": TEXT,
        "taskyard-error-message": {"type": "string", "maxLength": 1000},
        "taskyard-attempts": {**WHOLE, "description": "0: it never was a job."},
        "taskyard-first-failed-at": TIME,
        "taskyard-failed-at": TIME,
        "taskyard-queue": {**TEXT, "description": "The work queue that it came from."},
        "taskyard-worker": {**TEXT, "description": "Who gave up on it."},
        "taskyard-whole-bytes": {**WHOLE, "description": "Only the beginning is here; of so many."},
        "taskyard-whole-sha256": {**TEXT, "description": "Of the whole, in hexadecimal digits."},
    }
