"""What becomes of a job whose worker was lost."""

import random
from typing import Any, cast

import msgspec
import pytest

from services.scheduler.chores.lost_jobs import Rules, decide_lost
from services.scheduler.chores.reclaim import announced_waits
from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.errors import StoreFault
from taskyard.job import JobError
from taskyard.message import Message, Options, encode
from taskyard.policy.decide import Waits, waits
from taskyard.store.attempts import Lost

SETTINGS = Settings(max_retries=2, task_timeout=60, max_crashes=3, failed_ttl=100, retry_min_s=1)


def lost(
    *,
    attempt=1,
    crashes=0,
    ran_ms=1000,
    exit="signal 9",  # noqa: A002
    options: Options | None = None,
    **facts,
):
    message = Message(
        queue_name="q",
        task="add",
        args=[],
        kwargs={},
        options=options or Options(),
        message_id="a",
        message_timestamp=0,
    )
    body = facts.pop("body", encode(message))
    return Lost("a", 7, "q", body, attempt, crashes, "w1", ran_ms, exit, **facts)


def decided(waits_of=lambda task: waits(SETTINGS), **fields):
    return decide_lost(lost(**fields), Rules(SETTINGS, waits_of, random.Random(1)))


def test_the_loss_of_a_worker_costs_no_retry_and_no_wait():
    """It counts as a crash of a job that was alone there, though nobody saw how the worker ended."""
    made = decided()

    assert (
        made.decision.outcome.id,
        made.decision.outcome.token,
        made.decision.outcome.kind,
        made.decision.outcome.delay_ms,
        made.decision.outcome.is_crash,
    ) == ("a", 7, "retrying", 0, True)
    assert not made.decision.is_final
    assert "signal 9" in made.error.message
    assert made.error == msgspec.json.decode(made.decision.outcome.error, type=JobError)
    assert (made.error.type, made.error.reason) == ("WorkerLost", "worker_lost")


@pytest.mark.parametrize(("crashes", "is_final"), [(0, False), (1, False), (2, True), (5, True)])
def test_a_crash_loop_ends(crashes, is_final):
    """With `max_crashes` starts that lost their workers."""
    made = decided(attempt=crashes + 1, crashes=crashes)

    assert made.decision.is_final == is_final
    assert made.error.reason == ("crash_loop" if is_final else "worker_lost")
    assert made.decision.outcome.is_crash
    if is_final:
        assert (made.decision.outcome.kind, made.decision.outcome.ttl_ms) == ("failed", 100_000)


def test_a_job_that_was_alone_in_a_process_that_died_is_blamed():
    """It is tried alone from then on, after a wait that grows with its crashes."""
    first = decided(is_own_death=True).decision.outcome
    second = decided(attempt=2, crashes=1, is_own_death=True).decision.outcome

    for outcome in (first, second):
        assert (outcome.kind, outcome.is_crash, outcome.is_loss) == ("retrying", True, False)
        assert outcome.is_suspect
    assert 1000 <= first.delay_ms <= 2000
    assert 1000 <= second.delay_ms <= 4000


@pytest.mark.parametrize("crashes", [0, 1, 2, 9])
def test_nobody_is_blamed_among_several_in_a_process_that_died(crashes):
    """Each of them is tried alone at once, however often it has crashed: that counts no crash."""
    made = decided(attempt=crashes + 1, crashes=crashes, company=8, is_own_death=True)

    assert (made.decision.outcome.kind, made.decision.outcome.delay_ms) == ("retrying", 0)
    assert (made.decision.outcome.is_crash, made.decision.outcome.is_loss) == (False, True)
    assert made.decision.outcome.is_suspect
    assert made.error.reason == "worker_lost"
    assert made.error.message == "worker w1 was lost (signal 9), with 7 other jobs"


@pytest.mark.parametrize(
    ("losses", "is_suspect"), [(0, False), (1, False), (2, True), (3, False), (5, True)]
)
def test_several_that_were_lost_without_a_known_reason_run_again_as_before(losses, is_suspect):
    """As after the loss of a machine, at once; only what was there time and again is tried alone."""
    made = decided(attempt=losses + 1, losses=losses, company=2)

    assert (made.decision.outcome.kind, made.decision.outcome.delay_ms) == ("retrying", 0)
    assert (made.decision.outcome.is_crash, made.decision.outcome.is_loss) == (False, True)
    assert is_suspect == made.decision.outcome.is_suspect
    assert made.error.message == "worker w1 was lost (signal 9), with 1 other job"


@pytest.mark.parametrize(
    ("body", "reason"),
    [("", "undecodable"), ("{", "undecodable"), ("\udcff", "undecodable"), ("{}", "invalid")],
)
def test_a_record_that_cannot_be_read_ends(body, reason):
    """It is a dead letter at once: it can never run."""
    made = decided(body=body)

    assert made.decision.is_final
    assert (made.error.reason, made.message, made.task) == (reason, None, "")
    assert not made.decision.outcome.is_crash


def test_crashes_are_not_counted_by_failures():
    """A job at its last retry may crash still."""
    assert decided(attempt=3, crashes=0).error.reason == "worker_lost"


@pytest.mark.parametrize(
    ("attempt", "crashes", "is_final"),
    [(1, 0, False), (2, 0, False), (3, 0, True), (3, 1, False), (4, 1, True)],
)
def test_a_timeout_uses_up_a_retry(attempt, crashes, is_final):
    """It is a failure like any other; crashes before it do not count."""
    made = decided(attempt=attempt, crashes=crashes, ran_ms=60_001)

    assert made.decision.is_final == is_final
    assert (made.error.type, made.error.reason) == ("JobTimeout", "timeout")
    assert not made.decision.outcome.is_crash
    beside_others = decided(attempt=attempt, losses=crashes, company=3, ran_ms=60_001)
    assert beside_others.decision.is_final == is_final


def test_a_timeout_backs_off():
    """The second failure waits between the shortest wait and four times that."""
    made = decided(attempt=2, ran_ms=60_001)

    assert 1000 <= made.decision.outcome.delay_ms <= 4000


class DamagedStore:
    """Has a catalogue that cannot be read, or means nothing."""

    def __init__(self, tasks: list[dict[str, Any]] | None) -> None:
        self._tasks = tasks

    def tasks(self):
        if self._tasks is None:
            raise StoreFault("not JSON")
        return self._tasks

    def queues(self):
        return []


@pytest.mark.parametrize("tasks", [None, [{"name": "add", "retry_min_s": "x", "retry_max_s": 1}]])
def test_a_damaged_catalogue_holds_up_no_lost_job(tasks):
    """The settings' waits hold then."""
    catalogue = Catalogue(cast(Any, DamagedStore(tasks)))

    assert announced_waits(catalogue, SETTINGS)("add") == waits(SETTINGS)


@pytest.mark.parametrize(
    "fields", [{"ran_ms": 60_001}, {"is_own_death": True}], ids=["timeout", "crash"]
)
def test_a_task_has_waits_of_its_own(fields):
    """Where the worker was lost as where it was not."""
    announced = {"add": Waits(100, 120)}

    made = decided(waits_of=announced.__getitem__, **fields)

    assert 100_000 <= made.decision.outcome.delay_ms <= 120_000


def test_the_message_has_the_first_word():
    """Its own limits go before the settings'."""
    options = Options(timeout_s=5, max_retries=0)

    assert decided(ran_ms=5001, options=options).decision.is_final
    assert decided(ran_ms=4999, options=options).error.reason == "worker_lost"


def test_an_unknown_end_is_told_as_such():
    """Nobody said how the worker ended."""
    assert decided(exit="").error.message == "worker w1 was lost"


def test_what_a_worker_held_that_stopped_in_good_order_is_not_blamed():
    """It had ended, and waited to be told: however long, and however often that happens."""
    made = decided(company=0, losses=2, crashes=2, ran_ms=3_600_000)

    assert (made.decision.outcome.kind, made.decision.outcome.delay_ms) == ("retrying", 0)
    assert (
        made.decision.outcome.is_crash,
        made.decision.outcome.is_loss,
        made.decision.outcome.is_suspect,
    ) == (
        False,
        True,
        False,
    )
    assert made.error.reason == "worker_lost"
    assert "stopped" in made.error.message
