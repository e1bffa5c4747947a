"""Entries of the index of dead letters, as the API's tests bury them."""

from typing import Any

from taskyard.store.dead_letters import DeadLetter


def entry(letter_id: str, queue: str, *, is_job: bool, **fields: Any) -> DeadLetter:
    """Return the entry of a job of the task `echo`, or of what never was a job; `fields` win."""
    plain: dict[str, Any] = {
        "task": "echo",
        "reason": "invalid",
        "error_type": "E",
        "error_message": "no",
        "fingerprint": "f",
        "attempts": int(is_job),
        "failed_at_ms": 1,
        "first_failed_at_ms": 1,
        "worker": "w",
        "priority": 5,
        "body_bytes": 2,
        "preview": "{}",
        "preview_encoding": "text",
    }
    return DeadLetter(id=letter_id, is_job=is_job, queue=queue, **{**plain, **fields})


def strangers_entry(letter_id: str, queue: str, **fields: Any) -> DeadLetter:
    """Return the entry of what never was a job and cannot be read; `fields` win."""
    plain: dict[str, Any] = {"task": "", "reason": "undecodable"}
    return entry(letter_id, queue, is_job=False, **{**plain, **fields})
