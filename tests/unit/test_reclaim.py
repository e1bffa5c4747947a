"""What becomes of a job whose worker was lost."""

import random

import msgspec
import pytest

from services.scheduler.rulings import rule
from taskyard.config import Settings
from taskyard.job import JobError
from taskyard.message import Message, Options, encode
from taskyard.store.attempts import Lost

SETTINGS = Settings(max_retries=2, task_timeout=60, max_crashes=3, failed_ttl=100, retry_min_s=1)


def lost(*, attempt=1, crashes=0, ran_ms=1000, exit="signal 9", options: Options | None = None):  # noqa: A002
    message = Message(
        queue_name="q",
        actor_name="add",
        args=[],
        kwargs={},
        options=options or Options(),
        message_id="a",
        message_timestamp=0,
    )
    return Lost("a", 7, "q", encode(message), attempt, crashes, "w1", ran_ms, exit)


def ruling(**fields):
    return rule(lost(**fields), SETTINGS, random.Random(1))


def test_a_crash_costs_no_retry_and_no_wait():
    """It is the worker's end, until the job has shown that it is the reason."""
    made = ruling()

    assert (
        made.outcome.id,
        made.outcome.token,
        made.outcome.kind,
        made.outcome.delay_ms,
        made.outcome.is_crash,
    ) == ("a", 7, "retrying", 0, True)
    assert not made.is_final
    assert "signal 9" in made.error.message
    assert made.error == msgspec.json.decode(made.outcome.error, type=JobError)
    assert (made.error.type, made.error.reason) == ("WorkerLost", "worker_lost")


@pytest.mark.parametrize(("crashes", "is_final"), [(0, False), (1, False), (2, True), (5, True)])
def test_a_crash_loop_ends(crashes, is_final):
    """With `max_crashes` starts that lost their workers."""
    made = ruling(attempt=crashes + 1, crashes=crashes)

    assert made.is_final == is_final
    assert made.error.reason == ("crash_loop" if is_final else "worker_lost")
    assert made.outcome.is_crash
    if is_final:
        assert (made.outcome.kind, made.outcome.ttl_ms) == ("failed", 100_000)


def test_crashes_are_not_counted_by_failures():
    """A job at its last retry may crash still."""
    assert ruling(attempt=3, crashes=0).error.reason == "worker_lost"


@pytest.mark.parametrize(
    ("attempt", "crashes", "is_final"),
    [(1, 0, False), (2, 0, False), (3, 0, True), (3, 1, False), (4, 1, True)],
)
def test_a_timeout_uses_up_a_retry(attempt, crashes, is_final):
    """It is a failure like any other; crashes before it do not count."""
    made = ruling(attempt=attempt, crashes=crashes, ran_ms=60_001)

    assert made.is_final == is_final
    assert (made.error.type, made.error.reason) == ("JobTimeout", "timeout")
    assert not made.outcome.is_crash


def test_a_timeout_backs_off():
    """The second failure waits between the shortest wait and four times that."""
    made = ruling(attempt=2, ran_ms=60_001)

    assert 1000 <= made.outcome.delay_ms <= 4000


def test_the_message_has_the_first_word():
    """Its own limits go before the settings'."""
    options = Options(timeout_s=5, max_retries=0)

    assert ruling(ran_ms=5001, options=options).is_final
    assert ruling(ran_ms=4999, options=options).error.reason == "worker_lost"


def test_an_unknown_end_is_told_as_such():
    """Nobody said how the worker ended."""
    assert ruling(exit="").error.message == "worker w1 was lost"
