"""Examples of what the API takes and gives, shown in its OpenAPI document."""

from typing import Any

REQUESTS: list[dict[str, Any]] = [
    {"task": "background_task", "args": [1, 2]},
    {"task": "background_task", "kwargs": {"a": 1, "b": 2}, "priority": 9, "delay_s": 60},
]
JOB: dict[str, Any] = {
    "id": "01a20c17-3fd1-7440-95a5-cadc79824373",
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
    "links": {"self": "/v1/jobs/01a20c17-3fd1-7440-95a5-cadc79824373"},
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
