"""A job as people want to see it: where it is, since when, what came of it, and what can be done next."""

import json
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from taskyard.catalogue import Catalogue
from taskyard.cli.exits import FAILED, TIMED_OUT
from taskyard.cli.output import Output, card, first_line, say, say_one
from taskyard.cli.table import age, span
from taskyard.client import Client
from taskyard.errors import JobNotFound
from taskyard.job import TERMINAL, WAITING, Job, State

#: What is shown of arguments and results. Characters.
VALUE_MAX = 300
#: How many of the last lines of a traceback are shown.
TRACEBACK_LINES = 8


def lines(job: dict[str, Any]) -> Iterator[str]:
    """Return the lines that show a job's document; `-o json` has all of it."""
    now = datetime.now(UTC)
    state = State(job["state"])
    error = job["error"]
    yield from card(
        ("id", job["id"]),
        ("state", _state(job)),
        ("task", job["task"]),
        ("args", _arguments(job)),
        ("queue", f"{job['queue']}, priority {job['priority']}"),
        ("tags", ", ".join(job["tags"])),
        ("attempt", _attempt(job)),
        ("created", _moment(job["created_at"], now)),
        ("due", _moment(job["run_at"], now) if state in WAITING else None),
        ("expires", _moment(job["expires_at"], now)),
        ("started", _moment(job["started_at"], now)),
        ("finished", _finished(job, now)),
        ("progress", _progress(job["progress"])),
        ("result", _short(job["result"]) if state is State.COMPLETED else None),
        ("error", error and f"{error['type']}: {first_line(error['message'])}"),
    )
    if error and error.get("traceback"):
        yield from _end_of(error["traceback"])
    yield f"next: {', '.join(_next(job['id'], state))}"


def _state(job: dict[str, Any]) -> str:
    reason = job["reason"] or (job["error"] or {}).get("reason")
    stop_notes = (
        ["asked to stop"] if job["cancel_requested"] and job["state"] == State.RUNNING else []
    )
    notes = ", ".join([*([reason] if reason else []), *stop_notes])
    return f"{job['state']} ({notes})" if notes else str(job["state"])


def _arguments(job: dict[str, Any]) -> str:
    if job["args"] is None:
        return "cannot be read"
    named = [f"{name}={_json(value)}" for name, value in job["kwargs"].items()]
    return _cut(", ".join([*map(_json, job["args"]), *named]))


def _attempt(job: dict[str, Any]) -> str:
    made = f"{job['attempt']}, retries: {job['max_retries']}"
    return f"{made}, crashes: {job['crashes']}" if job["crashes"] else made


def _moment(time: str | None, now: datetime) -> str | None:
    return time and f"{time} ({age(time, now)})"


def _finished(job: dict[str, Any], now: datetime) -> str | None:
    if not job["finished_at"] or not job["started_at"]:
        return _moment(job["finished_at"], now)
    begin, end = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    took_s = max(0.0, (end - begin).total_seconds())
    return f"{job['finished_at']} ({age(job['finished_at'], now)}, took {span(took_s)})"


def _progress(progress: dict[str, Any] | None) -> str | None:
    if progress is None:
        return None
    of = "" if progress["total"] is None else f" of {progress['total']:g}"
    note = f": {progress['note']}" if progress["note"] else ""
    return f"{progress['done']:g}{of}{note}"


def _end_of(traceback: str) -> Iterator[str]:
    """Return the last lines of a traceback; each is told from what is around by its margin."""
    all_lines = traceback.rstrip("\n").split("\n")
    if len(all_lines) > TRACEBACK_LINES:
        yield "  ..."
    yield from (f"  {line}" for line in all_lines[-TRACEBACK_LINES:])


def _next(job_id: str, state: State) -> list[str]:
    name = shlex.quote(job_id)
    explain, cancel = f"taskyard explain {name}", f"taskyard cancel {name}"
    if state in WAITING:
        return [explain, f"taskyard run-now {name}", cancel]
    if state in (State.PENDING, State.RUNNING):
        return [explain, cancel]
    if state is State.COMPLETED:
        return [explain]
    return [explain, f"taskyard retry {name}"]


def _short(value: Any) -> str:
    return _cut(_json(value))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}... ({len(text)} characters)"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise JobNotFound(job_id)
    return job


def _show(client: Client, job: Job, output: Output) -> None:
    say_one(Catalogue(client.store).document(job), lines, output=output)


def show_now(client: Client, job_id: str, output: Output) -> None:
    """Print a job as it is.

    Raises:
        JobNotFound: If there is no record of it.
    """
    (job,) = client.store.get([job_id])
    _show(client, _found(job, job_id), output)


def show_end(client: Client, job_id: str, wait_s: float, output: Output) -> None:
    """Print a job once it has ended, or as it is then; the exit code tells how it ended.

    Raises:
        JobNotFound: If there is no record of it.
    """
    job = _found(client.store.wait(job_id, wait_s), job_id)
    _show(client, job, output)
    if job.state not in TERMINAL:
        why = client.why_not_ended(job_id)
        say(f"it is still {job.state}{f': {why.summary}' if why else ''}", err=True)
        sys.exit(TIMED_OUT)
    if job.state is not State.COMPLETED:
        sys.exit(FAILED)
