"""What `settle` and `progress` promise: outcomes, fencing, retries and hand-backs."""

import msgspec
import pytest

from taskyard.job import JobError, Progress
from taskyard.store.attempts import Outcome
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    get,
    heartbeat,
    outbox,
    pending,
    result,
    running,
    settle,
    state,
)
from tests.polling import poll

ERROR = JobError("ValueError", 'a "quoted" \\ text\nä', "Traceback …", "error")
ERROR_JSON = msgspec.json.encode(ERROR).decode()


def test_a_completed_job_has_its_result(store):
    """The result is kept as the worker wrote it."""
    job_id, token = running(store)

    assert settle(store, job_id, token, result='{"sum":3}')

    job = get(store, job_id)
    assert (job.state.value, result(store, job_id), job.error) == ("completed", b'{"sum":3}', None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at
    assert [(a.number, a.worker, a.outcome, a.error) for a in job.attempts] == [
        (1, "w1-name", "completed", None)
    ]
    assert counts(store) == {"default": {"completed": 1}}


def test_a_failed_job_has_its_error(store):
    """The error is on the attempt and on the job, with every character."""
    job_id, token = running(store)

    assert settle(store, job_id, token, "failed", error=ERROR_JSON)

    job = get(store, job_id)
    assert (job.state.value, job.error) == ("failed", ERROR)
    assert [attempt.error for attempt in job.attempts] == [ERROR]


def test_a_retrying_job_waits_for_its_delay(store):
    """Its run time is the store's time plus the delay; its error shows until the next attempt."""
    job_id, token = running(store)

    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS, error=ERROR_JSON)

    job = get(store, job_id)
    assert (job.state.value, job.error) == ("retrying", ERROR)
    assert job.run_at is not None
    assert job.attempts[0].finished_at is not None
    assert job.run_at - job.attempts[0].finished_at == HOUR_MS
    assert job.attempts[0].outcome == "failed"
    ready, next_due_ms = store.take_due(10)
    assert ready == []
    assert next_due_ms is not None
    assert HOUR_MS - 60_000 < next_due_ms <= HOUR_MS


def test_a_retry_that_is_due_starts_the_next_attempt(store):
    """Then the last error no longer is the job's."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", error=ERROR_JSON)
    store.take_due(10)
    verdict = claim(store, job_id, 2)

    settle(store, job_id, verdict.token)

    job = get(store, job_id)
    assert (job.state.value, job.attempt, job.error) == ("completed", 2, None)
    assert [attempt.outcome for attempt in job.attempts] == ["failed", "completed"]


def test_a_released_job_burns_no_attempt(store):
    """Handed back, it is pending and in the outbox, and its next run is the same attempt."""
    job_id, token = running(store)

    settle(store, job_id, token, "released")

    job = get(store, job_id)
    assert (job.state.value, job.attempt, job.attempts) == ("pending", 0, [])
    assert outbox(store) == {job_id}
    assert counts(store) == {"default": {"pending": 1}}
    assert claim(store, job_id, 1, owner="w2").kind == "run"


def test_a_stale_token_is_refused(store):
    """Whoever lost the job to another has no say any more."""
    job_id, old = running(store)
    settle(store, job_id, old, "released")
    new = claim(store, job_id, owner="w2").token

    assert not settle(store, job_id, old, result="1")
    assert state(store, job_id) == "running"
    assert settle(store, job_id, new, result="2")
    assert result(store, job_id) == b"2"


@pytest.mark.parametrize("token", [0, -1, 2**53])
def test_a_token_that_was_never_given_is_refused(store, token):
    """So is any token of a job that nobody knows."""
    job_id, _ = running(store)

    assert not settle(store, job_id, token)
    assert not settle(store, "unheard-of", token)
    assert state(store, job_id) == "running"


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "retrying", "released"])
def test_a_repeated_settle_is_accepted_and_counted_once(store, kind):
    """An answer that was lost on its way can be had again, and nothing is done twice."""
    job_id, token = running(store)

    answers = [
        settle(store, job_id, token, kind, delay_ms=HOUR_MS, is_crash=True) for _ in range(2)
    ]

    assert answers == [True, True]
    now = "pending" if kind == "released" else kind
    assert counts(store) == {"default": {now: 1}}


def test_a_repeated_settle_of_a_pruned_job_is_refused_without_harm(store):
    """There is no record to bring back."""
    job_id, token = running(store)
    settle(store, job_id, token, ttl_ms=0)
    store.prune(10)

    assert not settle(store, job_id, token, ttl_ms=0)
    assert (store.get([job_id]), counts(store), store.prune(10)) == ([None], {}, 0)


def test_one_call_gives_each_outcome_its_answer(store):
    """Answers come in the order of the outcomes."""
    (first, token), (second, _) = running(store), running(store)

    answers = store.settle(
        [Outcome(second, 0, "failed"), Outcome(first, token, "completed", ttl_ms=HOUR_MS)]
    )

    assert answers == [False, True]
    assert [state(store, first), state(store, second)] == ["completed", "running"]


def test_a_crash_is_counted_and_shown(store):
    """A lost attempt says so, and the next claim knows how many there were."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", is_crash=True, error=ERROR_JSON)
    store.take_due(10)

    assert claim(store, job_id, 2).crashes == 1
    assert get(store, job_id).attempts[0].outcome == "lost"


def fail(store, job_id: str, *, times: int) -> None:
    """Let attempts of a pending job fail, one after another."""
    for _ in range(times):
        store.take_due(10)
        verdict = claim(store, job_id, get(store, job_id).attempt + 1)
        settle(store, job_id, verdict.token, "retrying", error=ERROR_JSON)


def test_every_attempt_is_counted_and_some_are_kept(store):
    """The first five that ended, the latest twenty, and the one that runs."""
    heartbeat(store)
    job_id = pending(store)

    fail(store, job_id, times=25)
    assert [each.number for each in get(store, job_id).attempts] == list(range(1, 26))
    fail(store, job_id, times=35)
    store.take_due(10)
    claim(store, job_id, 61)

    job = get(store, job_id)
    assert [each.number for each in job.attempts] == [1, 2, 3, 4, 5, *range(41, 62)]
    assert (job.attempt, job.attempts_omitted) == (61, 35)
    assert job.attempts[-1].outcome == "running"


def test_progress_shows_on_the_job(store):
    """The last word counts, whether it came by itself or with the outcome."""
    job_id, token = running(store)

    assert store.progress(job_id, token, '{"done":1,"total":2}')
    assert get(store, job_id).progress == Progress(1, 2)

    settle(store, job_id, token, progress='{"done":2,"total":2,"note":"ä"}')
    assert get(store, job_id).progress == Progress(2, 2, "ä")


def test_progress_with_a_stale_token_is_refused(store):
    """Neither a lost attempt nor an ended job has progress to tell."""
    job_id, token = running(store)

    assert not store.progress(job_id, token + 1, '{"done":9}')
    assert not store.progress("unheard-of", token, '{"done":9}')
    settle(store, job_id, token)
    assert not store.progress(job_id, token, '{"done":9}')
    assert get(store, job_id).progress is None


def test_the_record_is_kept_for_its_time(store):
    """Kept while its time runs, then pruned with its counts."""
    short, long = running(store), running(store)
    settle(store, *short, ttl_ms=50)
    settle(store, *long, ttl_ms=HOUR_MS)

    assert poll(lambda: store.prune(10) == 1)
    assert store.get([short[0]]) == [None]
    assert counts(store) == {"default": {"completed": 1}}
    assert state(store, long[0]) == "completed"


def test_prune_removes_at_most_its_limit(store):
    """Large clean-ups go in steps."""
    heartbeat(store)
    for job_id, token in [running(store) for _ in range(5)]:
        settle(store, job_id, token, ttl_ms=0)

    assert [store.prune(3) for _ in range(3)] == [3, 2, 0]
    assert counts(store) == {}
