"""A job as people see it in a shell."""

import pytest

from taskyard.cli import job_card

JOB = {
    "id": "order-1",
    "task": "send_mail",
    "queue": "mail",
    "state": "pending",
    "priority": 5,
    "args": [1, "é"],
    "kwargs": {"copy": True},
    "tags": ["a", "b"],
    "attempt": 0,
    "crashes": 0,
    "max_retries": 3,
    "created_at": "2026-11-24T10:00:00.000Z",
    "run_at": None,
    "expires_at": None,
    "started_at": None,
    "finished_at": None,
    "progress": None,
    "cancel_requested": False,
    "reason": None,
    "result": None,
    "error": None,
}
ENDED = {
    "attempt": 1,
    "started_at": "2026-11-24T10:00:01.000Z",
    "finished_at": "2026-11-24T10:00:01.025Z",
}


def fields(**values):
    """Return the values of a card by their names, and its last line."""
    *shown, following = job_card.lines(JOB | values)
    return {
        name: value.strip() for name, _, value in (each.partition(" ") for each in shown)
    }, following


def test_a_job_that_is_ready_is_shown_in_few_lines():
    """Only what it has; how to go on is below."""
    *shown, following = job_card.lines(JOB)

    assert [line.split()[0] for line in shown] == [
        *("id", "state", "task", "args", "queue", "tags", "attempt", "created"),
    ]
    assert '1, "é", copy=true' in shown[3]
    assert following == "next: taskyard explain order-1, taskyard cancel order-1"


def test_a_job_that_failed_shows_its_error_and_where_it_came_from():
    """Of a traceback the last lines; that it may be run again."""
    traceback = "".join(f"line {number}\n" for number in range(40))
    error = {"type": "E", "message": "no\nmore", "traceback": traceback, "reason": "timeout"}

    *shown, following = job_card.lines(JOB | ENDED | {"state": "failed", "error": error})

    assert "state     failed (timeout)" in shown
    assert "error     E: no" in shown
    assert shown[-9:] == ["  ...", *(f"  line {number}" for number in range(32, 40))]
    assert following == "next: taskyard explain order-1, taskyard retry order-1"


def test_a_job_that_completed_shows_its_result_and_how_long_it_took():
    """Long values are cut, and how long they are is told."""
    shown, _ = fields(**ENDED, state="completed", result="x" * 1000)

    assert shown["result"] == f'"{"x" * (job_card.VALUE_MAX - 1)}... (1002 characters)'
    assert shown["finished"].endswith(", took 25ms)")


@pytest.mark.parametrize(
    ("values", "name", "shown"),
    [
        ({"state": "completed", "result": None}, "result", "null"),
        ({"args": None}, "args", "cannot be read"),
        ({"crashes": 2, "attempt": 2}, "attempt", "2, retries: 3, crashes: 2"),
        (
            {"state": "running", "progress": {"done": 3.0, "total": 10, "note": ""}},
            "progress",
            "3 of 10",
        ),
        ({"state": "running", "cancel_requested": True}, "state", "running (asked to stop)"),
        ({"state": "cancelled", "reason": "cancelled"}, "state", "cancelled (cancelled)"),
    ],
)
def test_what_is_told_of_a_job(values, name, shown):
    """What is nothing is not told."""
    assert fields(**values)[0][name] == shown


def test_an_id_with_marks_of_the_shell_is_quoted():
    """Whoever copies the next command runs that and nothing else."""
    _, following = fields(id="x; rm -rf ~")

    assert "taskyard explain 'x; rm -rf ~'" in following
