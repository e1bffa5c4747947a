"""What an attempt's end means for its job: every way to end, one by one."""

import random
import subprocess
import sys

import msgspec
import pytest

from services.worker.attempts.outcome import (
    ERROR_BYTES,
    MESSAGE_BYTES,
    Decider,
    InvalidArguments,
    ResultNotJson,
    ResultTooLarge,
    UnknownTask,
    describe,
    type_name,
)
from taskyard import config
from taskyard.errors import JobCancelled, JobLost, JobTimeout, Retry, WorkerStopping
from taskyard.job import JobError, Progress
from taskyard.message import MAX_SECONDS
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.unit.worker.doubles import attempt


def task_with(**options):
    return Task(lambda: None, "job", TaskOptions(**options))


@pytest.fixture
def decider():
    settings = config.load(retry_min_s=1, retry_max_s=60, result_ttl=10, failed_ttl=1_000)
    return Decider(settings, random.Random(1))


def error_of(decision) -> JobError:
    return msgspec.json.decode(decision.outcome.error, type=JobError)


def test_a_result_completes_the_job(decider):
    """With its JSON, its last progress, and the time that it is kept."""
    made = attempt()
    made.result, made.last_progress = "[1]", Progress(3, 4, "most of it")

    decision = decider.decide(made, None, task_with())

    outcome = decision.outcome
    assert (
        outcome.kind,
        outcome.result,
        outcome.ttl_ms,
        outcome.error,
    ) == ("completed", "[1]", 10_000, "")
    assert (made.id, 1) == (outcome.id, outcome.token)
    assert msgspec.json.decode(outcome.progress, type=Progress) == Progress(3, 4, "most of it")
    assert not decision.is_final


def test_an_error_is_retried_while_retries_are_left(decider):
    """With the error, and a wait."""
    decision = decider.decide(attempt(max_retries=1), ValueError("no"), task_with())

    assert decision.outcome.kind == "retrying"
    assert (
        error_of(decision).type,
        error_of(decision).message,
        error_of(decision).reason,
    ) == ("ValueError", "no", "error")
    assert not decision.is_final


@pytest.mark.parametrize(
    ("number", "ceiling_ms"), [(1, 2_000), (2, 4_000), (5, 32_000), (9, 60_000)]
)
def test_the_wait_grows_within_its_bounds(decider, number, ceiling_ms):
    """Between the shortest and a ceiling that doubles, never above the longest."""
    made = attempt(number=number, max_retries=100)

    waits = [decider.decide(made, ValueError(), task_with()).outcome.delay_ms for _ in range(200)]

    assert min(waits) >= 1_000
    assert ceiling_ms * 0.8 < max(waits) <= ceiling_ms


def test_a_task_has_waits_of_its_own(decider):
    """Also ones above the settings' longest."""
    task = task_with(retry_min_s=100, retry_max_s=120)

    waits = [decider.decide(attempt(), ValueError(), task).outcome.delay_ms for _ in range(50)]

    assert min(waits) >= 100_000
    assert max(waits) <= 120_000


def test_the_shortest_wait_of_a_task_wins_over_the_longest_of_the_settings(decider):
    """It says only the one."""
    decision = decider.decide(attempt(), ValueError(), task_with(retry_min_s=300))

    assert decision.outcome.delay_ms == 300_000


@pytest.mark.parametrize(
    ("number", "crashes", "max_retries", "left"),
    [(1, 0, 0, False), (1, 0, 1, True), (2, 0, 1, False), (2, 1, 1, True), (3, 2, 0, False)],
)
def test_lost_attempts_use_up_no_retry(decider, number, crashes, max_retries, left):
    """They were not the job's failure."""
    made = attempt(number=number, crashes=crashes, max_retries=max_retries)

    assert decider.decide(made, ValueError(), task_with()).is_final != left


def test_lost_attempts_do_not_lengthen_the_wait(decider):
    """The third attempt after two crashes is the first that failed."""
    made = attempt(number=3, crashes=2, max_retries=1)

    waits = [decider.decide(made, ValueError(), task_with()).outcome.delay_ms for _ in range(100)]

    assert max(waits) <= 2_000


@pytest.mark.parametrize(
    ("delay_s", "delay_ms"),
    [(0, 0), (1.5, 1_500), (7_200, 7_200_000), (float("inf"), MAX_SECONDS * 1_000)],
)
def test_retry_says_the_wait_itself(decider, delay_s, delay_ms):
    """Whatever the bounds are, up to a hundred years."""
    decision = decider.decide(attempt(), Retry("later", delay_s=delay_s), task_with())

    assert (decision.outcome.kind, decision.outcome.delay_ms) == ("retrying", delay_ms)


@pytest.mark.parametrize("delay_s", [None, float("nan")])
def test_retry_without_a_number_waits_as_usual(decider, delay_s):
    """The backoff decides."""
    decision = decider.decide(attempt(), Retry("later", delay_s=delay_s), task_with())

    assert 1_000 <= decision.outcome.delay_ms <= 2_000


def test_retry_uses_up_retries(decider):
    """A task cannot ask for ever."""
    decision = decider.decide(attempt(max_retries=0), Retry("later", delay_s=1), task_with())

    assert decision.outcome.kind == "failed"
    assert error_of(decision).reason == "retries_exhausted"


def test_the_last_failure_is_a_dead_letter(decider):
    """The same error is on the job and on the letter; failed jobs are kept longer."""
    decision = decider.decide(attempt(number=4), ValueError("no"), task_with())

    assert (decision.outcome.kind, decision.outcome.ttl_ms) == ("failed", 1_000_000)
    assert error_of(decision) == decision.error
    assert error_of(decision).reason == "retries_exhausted"


@pytest.mark.parametrize("error", [KeyError("a"), UnicodeError("b")])
def test_an_error_that_the_task_calls_final_is_not_retried(decider, error):
    """Nor are those that descend from it."""
    decision = decider.decide(attempt(), error, task_with(final_errors=(KeyError, ValueError)))

    assert decision.outcome.kind == "failed"
    assert error_of(decision).reason == "final_error"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ResultTooLarge("x"), "result_too_large"),
        (ResultNotJson("x"), "result_not_json"),
        (InvalidArguments("x"), "invalid"),
        (UnknownTask("x"), "unknown_task"),
    ],
)
def test_what_the_next_attempt_could_not_change_is_final(decider, error, reason):
    """Each has a reason of its own."""
    decision = decider.decide(attempt(), error, task_with())

    assert decision.outcome.kind == "failed"
    assert reason == error_of(decision).reason == decision.error.reason


@pytest.mark.parametrize(("max_retries", "kind", "letters"), [(1, "retrying", 0), (0, "failed", 1)])
def test_a_timeout_is_a_failure_with_a_reason(decider, max_retries, kind, letters):
    """It says what ran too long, though an interrupt has no text."""
    decision = decider.decide(attempt(max_retries=max_retries), JobTimeout(), task_with())

    assert decision.outcome.kind == kind
    assert (error_of(decision).type, error_of(decision).reason) == ("JobTimeout", "timeout")
    assert "timeout_s" in error_of(decision).message
    assert decision.is_final == letters


@pytest.mark.parametrize(
    ("error", "kind"),
    [(JobCancelled(), "cancelled"), (WorkerStopping(), "released"), (JobLost(), "released")],
)
def test_other_interrupts_are_no_failures(decider, error, kind):
    """Cancelled is the end; what is handed back runs elsewhere, whatever retries are left."""
    decision = decider.decide(
        attempt(max_retries=0), error, task_with(final_errors=(BaseException,))
    )

    assert decision.outcome.kind == kind
    assert not decision.is_final


def test_a_task_that_is_not_known_has_the_settings_waits(decider):
    """As where its module is gone by now."""
    assert 1_000 <= decider.decide(attempt(), ValueError(), None).outcome.delay_ms <= 2_000


# How errors are told


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Exits(Exception):
    def __str__(self):
        raise SystemExit(1)


class _Private(Exception):
    pass


@pytest.mark.parametrize("error", [Mute(), Exits()])
def test_an_error_that_cannot_be_printed_is_told_by_its_type(error):
    """Its text is the user's code."""
    told = describe(error, "error")

    assert type(error).__name__ == told.type
    assert "its text raised" in told.message


def test_long_texts_are_bounded_and_keep_both_ends():
    """The end of a traceback tells the most."""
    told = describe(ValueError("first" + "x" * 1_000_000 + "last"), "error")

    assert len(told.message) <= MESSAGE_BYTES
    assert told.message.startswith("first")
    assert told.message.endswith("last")
    assert "left out" in told.message


@pytest.mark.parametrize("character", ["x", '"', "\n", "\0", "ä", "語", "😀", "\udcff"])
@pytest.mark.parametrize("length", [600, 3_000, 1_000_000])
def test_an_error_is_bounded_as_it_is_kept(character, length):
    """Whatever its texts are made of: a character may take six bytes as JSON."""
    broken = type("E" * length, (Exception,), {})

    told = describe(broken(character * length), "error")

    assert len(msgspec.json.encode(told)) <= ERROR_BYTES + 100
    assert told.type.startswith("EEE")


def test_what_is_no_unicode_can_be_sent():
    """A file name with a lone surrogate."""
    assert "\\udcff" in describe(ValueError("\udcff"), "error").message
    msgspec.json.encode(describe(ValueError("\udcff" * 5_000), "error"))


def test_the_users_own_type_is_told_even_if_it_is_private():
    """Only our own interrupts go by another name."""
    assert describe(_Private(), "error").type == "_Private"


def test_causes_are_part_of_the_traceback():
    """As Python prints them."""
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        told = describe(error, "error")

    assert "KeyError: 'inner'" in told.traceback
    assert "direct cause" in told.traceback


def test_the_frames_of_the_worker_are_cut_off(tmp_path):
    """What is left begins in the user's file."""
    users = tmp_path / "users.py"
    users.write_text("def fail():\n    raise ValueError('no')\n")
    program = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, "shared", "."]
import users
from services.worker.dramatiq_bridge.actors import make_broker
from services.worker.attempts.outcome import describe
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.unit.worker.doubles import attempt
from services.worker.dramatiq_bridge.slots import Slots
import threading
done = threading.Event()
ended = []
task = Task(users.fail, "fail", TaskOptions())
slots = Slots({{"fail": task}}, threads=1, report=print, result_max_bytes=99,
              finished=lambda each: (ended.append(describe(each.error, "error")), done.set()))
slots.start()
slots.run([attempt("fail")])
done.wait(30)
print(ended[0].traceback)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'File "{users}", line 2, in fail' in lines[1]
    assert "services/worker" not in done.stdout
    assert "dramatiq" not in done.stdout


def test_an_interrupt_is_told_as_the_user_knows_it():
    """Records and logs say `JobTimeout`, and leave a private type of the user as it is."""
    interrupted = attempt()
    interrupted.interrupt(JobTimeout)

    with pytest.raises(JobTimeout) as caught:
        interrupted.enter()

    assert type_name(caught.value) == "JobTimeout"
    assert type_name(_Private()) == "_Private"


def test_an_error_that_cannot_be_printed_has_its_traceback():
    """Where it was raised is all that helps then."""
    try:
        raise Exits
    except Exits as error:
        told = describe(error, "error")

    assert "raise Exits" in told.traceback
