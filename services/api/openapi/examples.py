"""Examples of what the API takes and gives, shown in its OpenAPI document."""

from typing import Any

_ID = "order-4711"
_SCHEDULE: dict[str, Any] = {
    "task": "background_task",
    "args": [1, 2],
    "cron": "30 3 * * *",
    "timezone": "Europe/Berlin",
}
#: Bodies of requests, by the name of their schema; of the first, `/docs` makes a command for a shell.
BODIES: dict[str, list[dict[str, Any]]] = {
    "JobRequest": [
        {"id": _ID, "task": "background_task", "args": [1, 2]},
        {"task": "background_task", "kwargs": {"a": 1, "b": 2}, "priority": 9, "delay_s": 60},
    ],
    "BatchRequest": [{"jobs": [{"task": "background_task", "args": [n, n]} for n in range(1, 4)]}],
    "ChangeRequest": [{"priority": 9, "delay_s": 3600}],
    "CancelRequest": [
        {"filter": {"task": "background_task", "state": ["scheduled"]}, "dry_run": True}
    ],
    "RetryRequest": [{"filter": {"error": "ConnectionError"}, "limit": 500}],
    "PauseRequest": [{"reason": "the mail server is away"}],
    "LimitsRequest": [{"concurrency": 5, "rate": "100/m"}],
    "QueuePurgeRequest": [{"dry_run": True}],
    "ScheduleRequest": [{"name": "nightly-sum", **_SCHEDULE}],
    "ScheduleChange": [_SCHEDULE],
    "PurgeRequest": [{"filter": {"task": "background_task"}, "dry_run": True}],
    "ReplayRequest": [{"filter": {"task": "background_task"}, "canary": 10, "rate_per_s": 50}],
}
#: What is in a path, by the names in it, and by what `name` is of.
_PATH: dict[str, tuple[str, str]] = {
    "job_id": ("The job's id.", _ID),
    "letter_id": ("The dead letter's id.", "invoice-815"),
    "replay_id": ("The replay's id.", "01a20c17-3fd1-7440-95a5-cadc79824373"),
    "tasks": ("The task's name.", "background_task"),
    "queues": ("The queue's name.", "default"),
    "schedules": ("The schedule's name.", "nightly-sum"),
}
JOB: dict[str, Any] = {
    "id": _ID,
    "task": "background_task",
    "queue": "default",
    "state": "completed",
    "priority": 5,
    "origin": "api",
    "args": [1, 2],
    "kwargs": {},
    "tags": ["demo"],
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "attempt": 1,
    "crashes": 0,
    "max_retries": 3,
    "timeout_s": 600.0,
    "created_at": "2026-11-24T10:00:00.123Z",
    "run_at": None,
    "expires_at": None,
    "started_at": "2026-11-24T10:00:00.125Z",
    "finished_at": "2026-11-24T10:00:00.126Z",
    "progress": None,
    "cancel_requested": False,
    "reason": None,
    "result": 3,
    "error": None,
    "attempts": [
        {
            "number": 1,
            "worker": "host:12:3",
            "started_at": "2026-11-24T10:00:00.125Z",
            "finished_at": "2026-11-24T10:00:00.126Z",
            "outcome": "completed",
            "error": None,
            "exit": None,
            "peak_mib": None,
        }
    ],
    "attempts_omitted": 0,
    "links": {"self": f"/v1/jobs/{_ID}"},
}
PROBLEM: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "/task: no task 'background_tsk'; did you mean 'background_task'?",
    "code": "invalid",
    "errors": [
        {
            "pointer": "/task",
            "code": "unknown_task",
            "detail": "no task 'background_tsk'; did you mean 'background_task'?",
        }
    ],
    "request_id": "01a20c17-3feb-76be-85af-34d717ec49d8",
}


def path_value(path: str, name: str) -> dict[str, str]:
    """Return what OpenAPI tells of a parameter in a path: a description and an example."""
    description, example = _PATH[path.split("/")[2] if name == "name" else name]
    return {"description": description, "example": example}
