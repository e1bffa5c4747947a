"""The JSON Schemas of what the API takes and gives, by name; `GET /openapi.json` publishes them."""

from typing import get_args

from services.api.openapi import examples
from services.api.openapi.derived import schemas_of
from services.api.openapi.shapes import (
    BOOLEAN,
    SECONDS,
    STATE,
    TEXT,
    TIME,
    WHOLE,
    Schema,
    array,
    map_of,
    or_null,
    record,
    ref,
)
from taskyard.job import STATE_FIELDS, AttemptDocument, ErrorDocument, JobDocument, ProgressDocument
from taskyard.message import MAX_PRIORITY
from taskyard.request import JobRequest
from taskyard.store.jobs import UniquePolicy


def all_schemas() -> dict[str, Schema]:
    """Return every schema by its name."""
    jobs = schemas_of(
        Job=JobDocument,
        Attempt=AttemptDocument,
        JobError=ErrorDocument,
        Progress=ProgressDocument,
    )
    return {
        "JobRequest": JobRequest.model_json_schema(),
        **jobs,
        "Job": {**jobs["Job"], "examples": [examples.JOB]},
        "JobState": _job_state(jobs["Job"]),
        "JobOrState": {"anyOf": [ref("Job"), ref("JobState")]},
        "Task": _task(),
        "Queue": _queue(),
        "Worker": _worker(),
        **{f"{name}List": _list(name) for name in ("Task", "Queue", "Worker")},
        "Health": record(ok=BOOLEAN, problems=array(TEXT)),
        "Index": record(name=TEXT, version=TEXT, links=map_of(TEXT)),
        "Problem": {**_problem(), "examples": [examples.PROBLEM]},
        "Fault": _fault(),
    }


def _list(name: str) -> Schema:
    return record(items=array(ref(name)))


def _job_state(job: Schema) -> Schema:
    state = {name: job["properties"][name] for name in STATE_FIELDS}
    text = "A job that was there before, as a key that may submit but not read jobs sees it."
    return {**record(**state), "additionalProperties": False, "description": text}


def _task() -> Schema:
    return record(
        name=TEXT,
        description=TEXT,
        module=TEXT,
        queue=TEXT,
        priority={**WHOLE, "maximum": MAX_PRIORITY},
        max_retries=WHOLE,
        timeout_s=SECONDS,
        expires_s=or_null(SECONDS),
        retry_min_s=or_null({**SECONDS, "description": "Shortest wait before a retry."}),
        retry_max_s=or_null({**SECONDS, "description": "Longest wait before a retry."}),
        concurrency=or_null({**WHOLE, "description": "Jobs that run at a time."}),
        rate=or_null({**TEXT, "description": "Jobs that start within a time, like 100/m."}),
        key=or_null({**TEXT, "description": "Parameter whose values have limits of their own."}),
        unique_for=or_null({**SECONDS, "description": "How long a living job keeps out its like."}),
        unique_key=array(TEXT),
        unique_policy={"type": "string", "enum": list(get_args(UniquePolicy))},
        paused=or_null(ref("Pause")),
        workers={**WHOLE, "description": "How many living worker processes know it."},
        signature={
            "type": "object",
            "description": "Its arguments; `schema` is JSON Schema.",
        },
    )


def _queue() -> Schema:
    return record(
        queue=TEXT,
        states={**map_of(WHOLE), "description": "How many jobs there are in each state."},
        paused=or_null(ref("Pause")),
        oldest_pending_s=or_null({**SECONDS, "description": "Age of the oldest ready job."}),
        workers={**WHOLE, "description": "How many living worker processes read it."},
        dead_letters={**WHOLE, "description": "How many dead letters of it there are."},
    )


def _worker() -> Schema:
    told_by_worker: dict[str, Schema] = {
        "host": TEXT,
        "pid": WHOLE,
        "state": TEXT,
        "queues": array(TEXT),
        "tasks": array(TEXT),
        "is_lone": {
            "type": "boolean",
            "description": "It tries jobs alone that may be what kills their workers, and reads no queue.",
        },
        "slots": {**WHOLE, "description": "How many jobs it runs at a time."},
        "busy": WHOLE,
        "is_full": {
            "type": "boolean",
            "description": "Its slots are all busy with long jobs: it takes nothing until one is free.",
        },
        "jobs_done": WHOLE,
        "rss_mib": {"type": "number", "description": "Memory of the process, in MiB."},
        "prefetched": {
            **map_of(WHOLE),
            "description": "Messages that wait in it for a slot, by queue.",
        },
        "started_at": TIME,
    }
    return record(
        tuple(told_by_worker),
        id=TEXT,
        is_alive={"type": "boolean", "description": "Whether its lease holds."},
        last_seen_at=TIME,
        running={**WHOLE, "description": "How many jobs its lease holds."},
        **told_by_worker,
    )


def _problem() -> Schema:
    return record(
        ("errors", "state", "job_id", "taken", "scope"),
        type={"type": "string", "format": "uri-reference"},
        title=TEXT,
        status={"type": "integer"},
        detail={**TEXT, "description": "What was wrong and what to do, for people."},
        code={**TEXT, "description": "What was wrong, for programs."},
        errors={
            **array(ref("Fault")),
            "description": "All that is wrong with the request; of more than 100 faults the first, and one "
            "with code `more`.",
        },
        state={**STATE, "description": "The state that the job is in: `too_late`, `too_early`."},
        scope={**TEXT, "description": "What the key lacks, with code `missing_scope`."},
        job_id={**TEXT, "description": "The job that is in the way, with code `not_unique`."},
        taken={
            **array(TEXT),
            "description": "Of what was refused, the jobs that stay: they had begun, or replaced another.",
        },
        request_id=TEXT,
    )


def _fault() -> Schema:
    return record(
        ("pointer", "parameter"),
        pointer={"type": "string", "description": "Where in the body (RFC 6901)."},
        parameter={"type": "string", "description": "Which parameter of the query or header."},
        code=TEXT,
        detail=TEXT,
    )
