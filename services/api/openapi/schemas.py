"""The JSON Schemas of what the API takes and gives, by name; `GET /openapi.json` publishes them."""

from typing import Any, get_args

from services.api.openapi import examples
from services.api.openapi.shapes import array as _array
from services.api.openapi.shapes import map_of as _map
from services.api.openapi.shapes import or_null as _or_null
from services.api.openapi.shapes import record as _record
from taskyard.job import FIRST_KEPT, LATEST_KEPT, STATE_FIELDS, State
from taskyard.message import ID_PATTERN, MAX_PRIORITY
from taskyard.request import JobRequest
from taskyard.store.jobs import UniquePolicy

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2026-11-24T10:00:00.123Z"]}
TRACE_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_UNREADABLE = "Null where the job's record is damaged and cannot be read."
_KEPT = f"The first {FIRST_KEPT} and the latest {LATEST_KEPT} that ended, and the one that runs."
STATE: Schema = {"type": "string", "enum": [state.value for state in State]}


def ref(name: str) -> Schema:
    """Return a reference to the schema of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def all_schemas() -> dict[str, Schema]:
    """Return every schema by its name."""
    return {
        "JobRequest": JobRequest.model_json_schema(),
        "Job": {**_job(), "examples": [examples.JOB]},
        "JobState": _job_state(),
        "JobOrState": {"anyOf": [ref("Job"), ref("JobState")]},
        "Attempt": _attempt(),
        "JobError": _job_error(),
        "Progress": _progress(),
        "Task": _task(),
        "Queue": _queue(),
        "Worker": _worker(),
        **{f"{name}List": _list(name) for name in ("Task", "Queue", "Worker")},
        "Health": _record(ok={"type": "boolean"}, problems=_array(TEXT)),
        "Index": _record(name=TEXT, version=TEXT, links=_map(TEXT)),
        "Problem": {**_problem(), "examples": [examples.PROBLEM]},
        "Fault": _fault(),
    }


def _list(name: str) -> Schema:
    return _record(items=_array(ref(name)))


def _job() -> Schema:
    return _record(
        id={"type": "string", "pattern": ID_PATTERN},
        task=TEXT,
        queue=TEXT,
        state=STATE,
        priority={**WHOLE, "maximum": MAX_PRIORITY},
        origin={**TEXT, "description": "The door it came through.", "examples": ["api"]},
        args=_or_null({"type": "array", "description": _UNREADABLE}),
        kwargs=_or_null({"type": "object", "description": _UNREADABLE}),
        tags=_array(TEXT),
        trace_id={**TRACE_ID, "description": "Its trace, as in the logs."},
        attempt={**WHOLE, "description": "Number of the latest attempt; 0 before the first."},
        crashes={
            **WHOLE,
            "description": "Attempts that ended with the loss of a worker that ran nothing else.",
        },
        max_retries=_or_null(WHOLE),
        timeout_s=_or_null(SECONDS),
        created_at=TIME,
        run_at=_or_null(TIME),
        expires_at=_or_null(TIME),
        started_at=_or_null(TIME),
        finished_at=_or_null(TIME),
        progress=_or_null(ref("Progress")),
        cancel_requested={"type": "boolean"},
        reason=_or_null({**TEXT, "description": "Why it waits, where that is not its own time."}),
        result={"description": "What the task returned; null until it completed."},
        error=_or_null(ref("JobError")),
        attempts={**_array(ref("Attempt")), "description": _KEPT},
        attempts_omitted={**WHOLE, "description": "Attempts of which nothing else is kept."},
        links=_record(self=TEXT),
    )


def _job_state() -> Schema:
    state = {name: _job()["properties"][name] for name in STATE_FIELDS}
    told = "What who may submit, and not read, is told of a job that was there before."
    return {**_record(**state), "additionalProperties": False, "description": told}


def _attempt() -> Schema:
    return _record(
        number={"type": "integer", "minimum": 1},
        worker=TEXT,
        started_at=TIME,
        finished_at=_or_null(TIME),
        outcome=TEXT,
        error=_or_null(ref("JobError")),
        exit=_or_null(TEXT),
        peak_mib=_or_null({"type": "number"}),
    )


def _job_error() -> Schema:
    return _record(type=TEXT, message=TEXT, traceback=TEXT, reason=TEXT)


def _progress() -> Schema:
    return _record(done={"type": "number"}, total=_or_null({"type": "number"}), note=TEXT)


def _task() -> Schema:
    return _record(
        name=TEXT,
        description=TEXT,
        module=TEXT,
        queue=TEXT,
        priority={**WHOLE, "maximum": MAX_PRIORITY},
        max_retries=WHOLE,
        timeout_s=SECONDS,
        expires_s=_or_null(SECONDS),
        concurrency=_or_null({**WHOLE, "description": "Jobs that run at a time."}),
        rate=_or_null({**TEXT, "description": "Jobs that start within a time, like 100/m."}),
        key=_or_null({**TEXT, "description": "Parameter whose values have limits of their own."}),
        unique_for=_or_null(
            {**SECONDS, "description": "How long a living job keeps out its like."}
        ),
        unique_key=_array(TEXT),
        unique_policy={"type": "string", "enum": list(get_args(UniquePolicy))},
        paused=_or_null(ref("Pause")),
        workers={**WHOLE, "description": "How many living worker processes know it."},
        signature={
            "type": "object",
            "description": "Its arguments; `schema` is JSON Schema.",
        },
    )


def _queue() -> Schema:
    return _record(
        queue=TEXT,
        states={**_map(WHOLE), "description": "How many jobs there are in each state."},
        paused=_or_null(ref("Pause")),
        oldest_pending_s=_or_null({**SECONDS, "description": "Age of the oldest ready job."}),
        workers={**WHOLE, "description": "How many living worker processes read it."},
        dead_letters={**WHOLE, "description": "How many dead letters of it there are."},
    )


def _worker() -> Schema:
    told_by_worker: dict[str, Schema] = {
        "host": TEXT,
        "pid": WHOLE,
        "state": TEXT,
        "queues": _array(TEXT),
        "tasks": _array(TEXT),
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
            **_map(WHOLE),
            "description": "Messages that wait in it for a slot, by queue.",
        },
        "started_at": TIME,
    }
    return _record(
        tuple(told_by_worker),
        id=TEXT,
        is_alive={"type": "boolean", "description": "Whether its lease holds."},
        last_seen_at=TIME,
        running={**WHOLE, "description": "How many jobs its lease holds."},
        **told_by_worker,
    )


def _problem() -> Schema:
    return _record(
        ("errors", "state", "job_id", "taken", "scope"),
        type={"type": "string", "format": "uri-reference"},
        title=TEXT,
        status={"type": "integer"},
        detail={**TEXT, "description": "What was wrong and what to do, for people."},
        code={**TEXT, "description": "What was wrong, for programs."},
        errors={
            **_array(ref("Fault")),
            "description": "All that is wrong with the request; of more than 100 faults the first, and one "
            "with code `more`.",
        },
        state={**STATE, "description": "The state that the job is in: `too_late`, `too_early`."},
        scope={**TEXT, "description": "What the key lacks, with code `missing_scope`."},
        job_id={**TEXT, "description": "The job that is in the way, with code `not_unique`."},
        taken={
            **_array(TEXT),
            "description": "Of what was refused, the jobs that stay: they had begun, or replaced another.",
        },
        request_id=TEXT,
    )


def _fault() -> Schema:
    return _record(
        ("pointer", "parameter"),
        pointer={"type": "string", "description": "Where in the body (RFC 6901)."},
        parameter={"type": "string", "description": "Which parameter of the query or header."},
        code=TEXT,
        detail=TEXT,
    )
