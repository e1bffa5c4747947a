"""The one document that shows a job."""

import msgspec
import pytest

from taskyard.job import Attempt, Job, JobError, Progress, State, document, rfc3339
from taskyard.message import Message, Options

MESSAGE = Message(
    queue_name="default",
    task="add",
    args=[1],
    kwargs={"b": 2},
    options=Options(max_retries=3, timeout_s=5, expires_s=1.5, tags=["t"], origin="api"),
    message_id="a",
    message_timestamp=0,
)
ERROR = JobError("ValueError", "no", "Traceback", "error")


def job(state: State = State.PENDING, **fields) -> Job:
    return Job(
        **{
            "message": MESSAGE,
            "queue": "q",
            "state": state,
            "attempt": 0,
            "created_at": 1000,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1795514400007, "2026-11-24T10:00:00.007Z"),
        (7258118399999, "2199-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_in_utc_with_milliseconds(time_ms, text):
    """As RFC 3339 has them."""
    assert rfc3339(time_ms) == text


def test_a_new_job():
    """Plain JSON values; what is not known yet is null."""
    shown = document(job())

    assert msgspec.json.decode(msgspec.json.encode(shown)) == shown
    assert tuple(
        shown[name] for name in ("id", "task", "queue", "state", "priority", "origin")
    ) == ("a", "add", "q", "pending", 5, "api")
    assert (
        shown["created_at"],
        shown["expires_at"],
    ) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.500Z")
    assert [
        shown[name]
        for name in ("run_at", "started_at", "finished_at", "progress", "result", "error")
    ] == [None] * 6
    assert shown["links"] == {"self": "/v1/jobs/a"}


def test_an_ended_job():
    """Its result, its attempts, the last progress."""
    attempts = [
        Attempt(1, "w", 2000, 3000, "failed", ERROR),
        Attempt(2, "w", 4000, 5000, "completed"),
    ]
    shown = document(
        job(
            State.COMPLETED,
            attempt=2,
            attempts=attempts,
            result=msgspec.Raw(b'{"x":[1]}'),
            progress=Progress(1, None, "half"),
            finished_at=5000,
        )
    )

    assert (shown["result"], shown["error"]) == ({"x": [1]}, None)
    assert shown["progress"] == {"done": 1, "total": None, "note": "half"}
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failed", "completed"]
    assert shown["attempts"][0]["finished_at"] == "1970-01-01T00:00:03.000Z"
    error = shown["attempts"][0]["error"]
    assert error is not None
    assert error["type"] == "ValueError"


def test_attempts_that_are_not_kept_are_counted():
    """The document says how many are left out."""
    kept = [Attempt(n, "w", 2000, 3000, "failed", ERROR) for n in (1, 2, 9)]

    shown = document(job(State.RETRYING, attempt=9, attempts=kept))

    assert (len(shown["attempts"]), shown["attempts_omitted"]) == (3, 6)


@pytest.mark.parametrize("state", State)
def test_the_error_is_the_last_attempts(state):
    """While it is what the state is about."""
    told = job(state, attempts=[Attempt(1, "w", 1, 2, "failed", ERROR)]).error

    is_told = state in (State.FAILED, State.RETRYING, State.CANCELLED)
    assert told == (ERROR if is_told else None)
