"""The lines of attempts that end: what they say, and when there are too many of them."""

import json
import logging

import pytest

from services.worker.attempts.end_log import CALM_S, FAILURES_PER_S, EndLog, Meter, place_of
from taskyard.store.attempts import Outcome
from tests.unit.worker.doubles import attempt


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def told(caplog):
    """A function that gives the lines since it was last asked, as (level, phrase, facts)."""
    caplog.set_level(logging.INFO)

    def take():
        records = [(each.levelname, each.getMessage(), vars(each)) for each in caplog.records]
        caplog.clear()
        return records

    return take


def ended(kind="completed", reason="", **fields):
    """Return an attempt with its outcome."""
    error = {"type": "ValueError", "message": "hush", "traceback": "hush", "reason": reason}
    each = attempt("add", 1)
    text = json.dumps(error) if reason else ""
    return Outcome(each.id, 1, kind, error=text, ttl_ms=0, **fields), each


def settle(log, *entries, accepted=True):
    log.settled(entries, [accepted] * len(entries))


def test_each_end_has_a_line_with_the_job_and_the_seconds(told, clock):
    """Of what is fine, and of what was cancelled or handed back."""
    entries = [ended(kind) for kind in ("completed", "cancelled", "released")]
    entries[0][1].ran_s = 1.23456
    settle(EndLog(10, clock), *entries)

    lines = told()
    assert [(level, text) for level, text, _ in lines] == [
        ("INFO", "attempt ended: completed"),
        ("INFO", "attempt ended: cancelled"),
        ("INFO", "attempt ended: released"),
    ]
    facts = lines[0][2]
    names = ("job_id", "task", "queue", "attempt", "duration_s")
    assert [facts[name] for name in names] == [entries[0][1].id, "add", "default", 1, 1.235]


def test_a_failure_is_an_error_that_says_why_where_and_what_to_ask(told, clock):
    """The text of an error may hold an argument: it is on the job, and not in a log."""
    outcome, failed = ended("failed", "retries_exhausted")
    failed.failed_at = "tasks/mail.py:12 in send"
    settle(EndLog(0, clock), (outcome, failed))

    ((level, text, facts),) = told()
    assert (level, text) == ("ERROR", "attempt ended: failed")
    assert facts["reason"] == "retries_exhausted"
    assert facts["error_type"] == "ValueError"
    assert facts["where"] == "tasks/mail.py:12 in send"
    assert facts["see"] == f"taskyard status {failed.id}"
    assert "hush" not in str(facts)


def test_a_retry_is_a_warning_that_says_when(told, clock):
    """And what is refused as another attempt has the job is one, too: it counts for nothing."""
    log = EndLog(0, clock)
    settle(log, ended("retrying", "error", delay_ms=5_000))
    settle(log, ended("completed"), accepted=False)

    retried, stale = told()
    assert retried[:2] == ("WARNING", "attempt ended: retrying")
    assert retried[2]["retry_at"].endswith("Z")
    assert stale[:2] == ("WARNING", "attempt ended: stale")


def test_with_too_many_ends_none_is_logged_until_it_is_calm_again(told, clock):
    """Failures are told all the same, up to a bound of their own."""
    log = EndLog(3, clock)

    settle(log, ended(), ended())
    assert (len(told()), log.silent()) == (2, [])
    settle(log, *[ended() for _ in range(10)], ended("failed", "timeout"))
    assert [text for _, text, _ in told()] == ["attempt ended: failed", "attempt ended: completed"]
    assert log.silent() == ["ends"]
    clock.now_s += CALM_S / 2
    settle(log, ended())
    assert told() == []
    clock.now_s += CALM_S / 2
    settle(log, ended())
    assert (len(told()), log.silent()) == (1, [])

    settle(log, *[ended("failed", "timeout") for _ in range(FAILURES_PER_S + 1)])
    assert (len(told()), log.silent()) == (FAILURES_PER_S, ["failures"])


def test_what_nobody_would_see_is_not_made(caplog, clock):
    """With LOG_JOBS=0, or a higher LOG_LEVEL."""
    caplog.set_level(logging.INFO)
    settle(EndLog(0, clock), ended())
    caplog.set_level(logging.WARNING)
    settle(EndLog(10, clock), ended())

    assert caplog.records == []


def test_a_steady_flow_at_the_limit_is_told_for_ever():
    """The limit is of each second."""
    meter = Meter(5)

    assert [meter.take(5, float(second)) for second in range(20)] == [5] * 20


def test_the_place_of_an_error_is_in_the_user_s_code():
    """Not in a library that it calls; of what was never raised there is none."""
    with pytest.raises(ValueError) as caught:
        json.loads("{")

    here = f"tests/unit/worker/test_end_log.py:{caught.traceback[0].lineno + 1} in "
    assert (
        place_of(caught.value) == here + test_the_place_of_an_error_is_in_the_user_s_code.__name__
    )
    assert place_of(ValueError("hush")) == ""


def test_a_place_is_found_wherever_the_task_went(tmp_path, monkeypatch):
    """Also into a folder that is no more; what code that is made on the spot calls itself is odd."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(ValueError) as caught:
        exec("raise ValueError", {"__name__": None})

    assert place_of(caught.value).startswith("tests/unit/worker/test_end_log.py:")
