"""Failures: jobs are retried, and what cannot succeed is a dead letter, byte for byte and with the reason."""

import msgspec
import pytest

from taskyard.errors import JobFailed
from taskyard.message import for_attempt
from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard


@pytest.fixture(autouse=True)
def _no_dead_letters(yard):
    """Each test finds its own."""
    yield
    yard.forget_dead_letters()


@pytest.mark.parametrize("task", [tasks.flaky, tasks.flaky_later])
def test_a_failed_attempt_is_retried_until_it_succeeds(yard, task):
    """Every attempt is kept, and the result is that of the last."""
    handle = yard.submit(task, 2, max_retries=2)

    assert handle.get(timeout=30) == 3
    document = handle.document()
    assert [a["outcome"] for a in document["attempts"]] == ["failed", "failed", "completed"]
    assert [a["number"] for a in document["attempts"]] == [1, 2, 3]
    assert document["attempts"][1]["error"]["message"] == "attempt 2 fails on purpose"
    assert document["error"] is None


def test_used_up_retries_end_in_a_dead_letter_and_a_failed_record(yard):
    """The message is in `<queue>.dead` as it was, and the record says the same."""
    handle = yard.submit(tasks.flaky, 9, max_retries=1, tags=["kept"])

    with pytest.raises(JobFailed, match="attempt 2 fails on purpose"):
        handle.get(timeout=30)

    job = yard.job(handle.id)
    assert job.state == "failed"
    assert [attempt.outcome for attempt in job.attempts] == ["failed", "failed"]
    for attempt in job.attempts:
        assert attempt.error.type == "ConnectionError"
        assert attempt.error.message == f"attempt {attempt.number} fails on purpose"
        assert "in flaky" in attempt.error.traceback
        assert attempt.started_at <= attempt.finished_at
    assert [a.error.reason for a in job.attempts] == ["error", "retries_exhausted"]

    properties, body = yard.dead_letter()
    assert handle.id == properties.message_id
    assert properties.delivery_mode == 2
    assert for_attempt(msgspec.json.encode(job.message).decode(), 2).encode() == body
    headers = properties.headers
    assert headers["taskyard-reason"] == "retries_exhausted"
    assert headers["taskyard-error-type"] == "ConnectionError"
    assert headers["taskyard-error-message"] == "attempt 2 fails on purpose"
    assert headers["taskyard-attempts"] == 2
    assert yard.queue == headers["taskyard-queue"]
    assert job.attempts[-1].worker == headers["taskyard-worker"]
    assert handle.document()["attempts"][0]["finished_at"] == headers["taskyard-first-failed-at"]
    assert headers["taskyard-first-failed-at"] <= headers["taskyard-failed-at"]


def test_a_traceback_begins_at_the_users_function(yard):
    """The frames of the worker would only hide it."""
    handle = yard.submit(tasks.flaky, 9, max_retries=0)
    handle_later = yard.submit(tasks.flaky_later, 9, max_retries=0)

    for each in (handle, handle_later):
        traceback = yard.ended(each.id).error.traceback
        assert "worker_tasks.py" in traceback.splitlines()[1]
        assert "/services/worker/" not in traceback
        assert "/dramatiq/" not in traceback


def test_a_message_straight_to_the_queue_dies_byte_for_byte(yard):
    """Even its spaces, its unknown fields and the order of its keys."""
    body = yard.body("test.flaky", 9, options={"max_retries": 0, "theirs": [1]}, more={"a": "é"})
    assert b'": ' in body
    yard.publish(body, priority=3, content_type="text/plain")

    properties, dead = yard.dead_letter()
    assert body == dead
    assert properties.priority == 3
    assert properties.headers["taskyard-reason"] == "retries_exhausted"
    assert properties.headers["taskyard-attempts"] == 1


def test_a_final_error_is_not_retried(yard):
    """The task lists it: another try would be useless."""
    handle = yard.submit(tasks.hopeless, max_retries=5)

    job = yard.ended(handle.id)
    assert job.state == "failed"
    assert job.error.reason == "final_error"
    assert len(yard.events("tries", handle.id)) == 1
    properties, _ = yard.dead_letter()
    assert properties.headers["taskyard-reason"] == "final_error"


def test_a_task_says_when_it_is_to_run_again(yard):
    """`Retry(delay_s)` is kept, by the store's clock."""
    handle = yard.submit(tasks.again_in, 0.5)

    assert handle.get(timeout=30) == "done"
    first, second = yard.job(handle.id).attempts
    assert first.error.message == "not yet"
    assert 500 <= second.started_at - first.finished_at < 30_000


@pytest.mark.parametrize("task", [tasks.fail_strangely, tasks.fail_strangely_later])
@pytest.mark.parametrize(
    ("kind", "error_type"),
    [
        ("mute", "Mute"),
        ("surrogate", "ValueError"),
        ("long", "ValueError"),
        ("deep", "RecursionError"),
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("generator", "GeneratorExit"),
        ("retry-never", "Retry"),
        ("retry-nan", "Retry"),
        ("lookup", "LookupError"),
    ],
)
def test_whatever_a_task_raises_its_slot_goes_on(yard, task, kind, error_type):
    """The job fails with the type of the error, and the worker's two slots run the next jobs."""
    failed = yard.submit(task, kind, max_retries=0)

    job = yard.ended(failed.id)
    assert job.state == "failed"
    assert job.error.type == error_type
    assert len(job.error.message) < 3_000
    assert len(job.error.traceback) < 20_000
    gate = yard.new_gate()
    both = [yard.submit(each, gate) for each in (tasks.wait_at, tasks.wait_at_later)]
    for handle in both:
        yard.await_event("waits", handle.id)
    yard.open(gate)
    assert [handle.get(timeout=30) for handle in both] == [gate, gate]


def test_a_wait_without_end_is_a_hundred_years(yard):
    """The job waits, and can be cancelled like any other that does."""
    handle = yard.submit(tasks.fail_strangely, "retry-never", max_retries=1)

    job = poll(lambda: yard.job_in("retrying", handle.id))
    assert job.run_at > job.created_at + 3_000_000_000_000
    assert handle.cancel()


def test_a_wait_that_is_no_number_is_the_usual_backoff(yard):
    """It fails twice, as often as it may."""
    handle = yard.submit(tasks.fail_strangely, "retry-nan", max_retries=1)

    assert len(yard.ended(handle.id).attempts) == 2


@pytest.mark.parametrize(
    ("task", "args", "reason"),
    [
        (tasks.large, [2_000_000], "result_too_large"),
        (tasks.not_json, [], "result_not_json"),
    ],
)
def test_a_result_that_cannot_be_kept_is_a_failure(yard, task, args, reason):
    """And a final one: the next attempt would return the same."""
    handle = yard.submit(task, *args, max_retries=3)

    job = yard.ended(handle.id)
    assert job.error.reason == reason
    assert len(job.attempts) == 1
    properties, _ = yard.dead_letter()
    assert properties.headers["taskyard-reason"] == reason


def test_a_number_beyond_64_bits_is_a_result_like_any_other(yard):
    """Python's JSON knows no bounds either."""
    assert yard.submit(tasks.huge_number).get(timeout=30) == 2**70


def test_progress_with_text_that_cannot_be_sent_harms_nobody(yard):
    """The job can still be read, and completes."""
    gate = yard.new_gate()
    handle = yard.submit(tasks.strange_progress, gate)
    yard.open(gate)

    assert handle.get(timeout=30) == gate
    assert handle.document()["progress"]["note"].isascii()
