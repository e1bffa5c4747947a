"""What the index of dead letters promises: listing, groups, retries, purges and removals."""

from typing import Any

import pytest

from taskyard.dead_letters.message import dead_letter, indexed
from taskyard.job import JobError
from taskyard.message import decode, for_retry
from taskyard.rabbitmq.bodies import cut
from taskyard.store import JobStore
from taskyard.store.dead_letters import DeadLetterFilter, Removal, RetryRequest
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    counts,
    get,
    new_job,
    outbox,
    pending,
    running,
    settle,
    state,
)

ALL = DeadLetterFilter()
REASONS = ("retries_exhausted", "undecodable")


def index_letter(store: JobStore, job_id: str, attempts: int = 1, **fields: Any) -> None:
    """Index a job's dead letter."""
    known: dict[str, Any] = {
        "task": "add",
        "reason": "retries_exhausted",
        "error": JobError("ValueError", "no", "", "retries_exhausted"),
        "first_failed_at_ms": 1,
        "worker": "w1",
        "priority": 5,
        "failed_at_ms": 1000,
        **fields,
    }
    queue = known.pop("queue", "default")
    body = known.pop("body", new_job(job_id).body.encode())
    letter = dead_letter(queue, body, id=job_id, attempts=attempts, **known)
    store.index_dead_letters([indexed(letter)])


def stranger(store: JobStore, body: bytes = b"\xff", **fields: Any) -> str:
    """Index a message that never was a job; return its id."""
    letter = dead_letter(
        "default",
        body,
        id=None,
        task=None,
        reason="undecodable",
        error=None,
        attempts=0,
        first_failed_at_ms=None,
        worker="w1",
        priority=0,
        **fields,
    )
    entry = indexed(letter)
    store.index_dead_letters([entry])
    return entry[0].id


def failed(store: JobStore, **fields: Any) -> str:
    """Record, run, bury and fail a job; return its id."""
    job_id, token = running(store)
    index_letter(store, job_id, **fields)
    settle(store, job_id, token, "failed", ttl_ms=fields.pop("ttl_ms", HOUR_MS))
    return job_id


def ids(store: JobStore, **wanted: Any) -> list[str]:
    """Return the ids that fit, newest first."""
    found, _ = store.find_dead(DeadLetterFilter(**wanted), 100)
    return [each for each, _ in found]


def retry(store: JobStore, job_id: str, **fields: Any) -> str:
    """Bring one job back; return the verdict."""
    (job,) = store.retry_sources([job_id])
    body = for_retry(job.body, job.attempts_made)
    return store.retry([RetryRequest(job_id, job.attempts_made, body)], **fields)[0].verdict


def test_a_dead_letter_is_listed_with_what_it_died_of(store):
    """Before its job is failed, and after."""
    job_id, token = running(store)

    index_letter(store, job_id)

    (letter,) = store.dead_letters([job_id])
    assert letter is not None
    assert (
        letter.task,
        letter.reason,
        letter.error_type,
        letter.error_message,
        letter.failed_at_ms,
        letter.is_job,
    ) == ("add", "retries_exhausted", "ValueError", "no", 1000, True)
    assert ids(store) == [job_id]
    assert settle(store, job_id, token, "failed")
    assert store.dead_counts() == ({("default", "retries_exhausted"): 1}, {})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "cba"),
        ({"queue": "other"}, "c"),
        ({"task": "echo"}, "b"),
        ({"reason": "timeout"}, "b"),
        ({"error_type": "KeyError"}, "c"),
        ({"after_ms": 2000}, "cb"),
        ({"before_ms": 2000}, "ba"),
        ({"queue": "default", "task": "add"}, "a"),
        ({"task": "nobody"}, ""),
    ],
)
def test_filters_narrow_the_list(store, wanted, expected):
    """Each alone, and together."""
    index_letter(store, "a", failed_at_ms=1000)
    index_letter(store, "b", failed_at_ms=2000, task="echo", reason="timeout")
    index_letter(store, "c", failed_at_ms=3000, queue="other", error=JobError("KeyError", "k"))

    assert list(expected) == ids(store, **wanted)


def test_pages_have_each_dead_letter_once(store):
    """Also those of one millisecond."""
    for n in range(23):
        index_letter(store, f"job-{n:02}", failed_at_ms=1000 + n // 10)

    pages, cursor = [], None
    while True:
        found, cursor = store.find_dead(ALL, 4, cursor)
        pages += [each for each, _ in found]
        if cursor is None:
            break

    assert sorted(pages) == [f"job-{n:02}" for n in range(23)]
    assert len(pages) == 23


def test_groups_count_what_died_of_the_same(store):
    """Numbers and ids in the message make no difference; another task or type does."""
    index_letter(store, "a", failed_at_ms=1000, error=JobError("E", "row 1 of 'x'"))
    index_letter(store, "b", failed_at_ms=3000, error=JobError("E", "row 22 of 'y'"))
    index_letter(store, "c", failed_at_ms=2000, error=JobError("F", "row 1 of 'x'"))

    groups, cursor = store.dead_groups(10)

    assert [(g.count, g.first_seen_ms, g.last_seen_ms, g.example.id) for g in groups] == [
        (2, 1000, 3000, "b"),
        (1, 2000, 2000, "c"),
    ]
    assert cursor is None
    assert ids(store, fingerprint=groups[0].fingerprint) == ["b", "a"]


def test_pages_of_groups(store):
    """Each group once; one whose last member went is gone."""
    for n in range(5):
        index_letter(store, f"job-{n}", error=JobError(f"E{'x' * n}", "m"))
    store.purge_dead(["job-4"])

    first, cursor = store.dead_groups(3)
    second, end = store.dead_groups(3, cursor)

    assert len({group.fingerprint for group in first + second}) == 4
    assert end is None


def test_a_retried_job_is_pending_with_all_its_retries(store):
    """Its attempts go on, its dead letter leaves the index, its message the queue once it is published."""
    job_id = failed(store)

    assert retry(store, job_id) == "retried"

    job = get(store, job_id)
    assert (job.state, job.attempt, job.finished_at, job.error) == ("pending", 1, None, None)
    assert job.message.options.attempts_before == 1
    assert (counts(store), ids(store)) == ({"default": {"pending": 1}}, [])
    assert outbox(store) == {job_id}
    assert store.removals(10) == []
    store.mark_published([(job_id, LATER_MS)])
    assert store.removals(10) == [Removal("default", job_id, 1)]
    assert claim(store, job_id, 2).kind == "run"


def test_a_retried_job_is_not_pruned(store):
    """Though its time to be kept was over."""
    job_id, token = running(store)
    settle(store, job_id, token, "failed", ttl_ms=0)

    assert retry(store, job_id) == "retried"

    assert store.prune(10) == 0
    assert state(store, job_id) == "pending"


def test_a_cancelled_job_can_be_retried(store):
    """Nothing of the cancellation is left."""
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)

    assert retry(store, job_id) == "retried"

    assert claim(store, job_id, 1).kind == "run"


def test_a_job_that_was_asked_to_stop_can_be_retried(store):
    """The request does not cancel it again."""
    job_id, token = running(store)
    store.cancel([job_id], HOUR_MS)
    settle(store, job_id, token, "cancelled")

    assert retry(store, job_id) == "retried"

    assert not get(store, job_id).cancel_requested
    assert settle(store, job_id, claim(store, job_id, 2).token, "retrying")
    assert state(store, job_id) == "retrying"


@pytest.mark.parametrize("kind", ["completed", "retrying"])
def test_other_jobs_cannot_be_retried(store, kind):
    """They stay as they are."""
    job_id, token = running(store)
    settle(store, job_id, token, kind, delay_ms=HOUR_MS)

    assert retry(store, job_id) == "too_late"

    assert state(store, job_id) == kind


def test_a_job_that_nobody_knows_cannot_be_retried(store):
    """And none is made."""
    assert [a.verdict for a in store.retry([RetryRequest("nobody", 0, "")])] == ["unknown"]
    assert store.get(["nobody"]) == [None]


def test_the_second_of_two_retries_does_nothing(store):
    """Also if the first has failed again meanwhile: its caller saw another attempt."""
    job_id = failed(store)
    (seen,) = store.retry_sources([job_id])
    stale = RetryRequest(job_id, seen.attempts_made, for_retry(seen.body, seen.attempts_made))

    retry(store, job_id)
    token = claim(store, job_id, 2).token
    index_letter(store, job_id, 2)
    settle(store, job_id, token, "failed")

    assert store.retry([stale])[0].verdict == "changed"
    assert (state(store, job_id), ids(store)) == ("failed", [job_id])
    store.mark_published([(job_id, LATER_MS)])
    assert store.removals(10) == [Removal("default", job_id, 1)]


def test_a_job_about_to_be_failed_is_left_alone(store):
    """Its dead letter is indexed, its outcome is on its way."""
    job_id, token = running(store)
    index_letter(store, job_id)

    assert retry(store, job_id) == "changed"
    assert store.purge_dead([job_id]) == []

    assert settle(store, job_id, token, "failed")
    assert ids(store) == [job_id]


def test_a_dead_letter_outlives_its_record(store):
    """It is listed after the record was pruned, and a retry makes a record anew."""
    job_id, token = running(store, args=[1, 2])
    index_letter(store, job_id)
    settle(store, job_id, token, "failed", ttl_ms=0)
    assert store.prune(10) == 1

    assert ids(store) == [job_id]
    assert retry(store, job_id) == "retried"

    job = get(store, job_id)
    assert (job.state, job.message.args, job.attempt) == ("pending", [1, 2], 1)
    assert counts(store) == {"default": {"pending": 1}}
    assert claim(store, job_id, 2).kind == "run"


def test_a_dead_letter_without_a_record_has_its_body(store):
    """As after the store was emptied and the queue was indexed again."""
    index_letter(store, "a", 3, body=new_job("a", args=[7]).body.encode())

    assert retry(store, "a") == "retried"

    assert (get(store, "a").attempt, get(store, "a").message.args) == (3, [7])


def test_dead_letters_whose_messages_are_gone_are_forgotten(store):
    """The records of their jobs stay, and no message has to leave the queue for it."""
    job_id, other = failed(store), stranger(store, failed_at_ms=2000)

    assert store.forget_dead("default", [(job_id, 1000), (other, 2000), ("none", 1)]) == 2

    assert (ids(store), state(store, job_id), store.removals(10)) == ([], "failed", [])
    assert store.dead_counts() == ({("default", reason): 0 for reason in REASONS}, {})
    index_letter(store, job_id)  # its message was there after all
    assert ids(store) == [job_id]


def test_what_died_again_or_is_all_that_is_left_is_not_forgotten(store):
    """The index has the message of a job whose record is gone."""
    again = failed(store, failed_at_ms=2000)
    index_letter(store, "a", body=new_job("a").body.encode())

    assert store.forget_dead("default", [(again, 1000), ("a", 1000)]) == 0
    assert store.forget_dead("other", [(again, 2000)]) == 0

    assert set(ids(store)) == {again, "a"}


def test_the_letter_of_a_lost_attempt_is_removed(store):
    """Another attempt went on with the job: nobody must replay it."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying")
    store.take_due(10)
    store.mark_published([(job_id, LATER_MS)])

    index_letter(store, job_id, 1)

    assert ids(store) == []
    assert store.removals(10) == [Removal("default", job_id, 1)]


def test_a_purge_takes_record_and_message(store):
    """Both are gone for good."""
    job_id = failed(store)

    assert store.purge_dead([job_id, "nobody"]) == [job_id]

    assert (store.get([job_id]), ids(store), counts(store)) == ([None], [], {})
    assert store.removals(10) == [Removal("default", job_id, 1)]


def test_limits_keep_the_record(store):
    """A dead letter past its time leaves its job failed, until FAILED_TTL."""
    job_id = failed(store)

    store.purge_dead([job_id], keep_records=True)

    assert (state(store, job_id), ids(store)) == ("failed", [])
    assert retry(store, job_id) == "retried"


def test_a_removal_that_is_done_is_forgotten(store):
    """Unless the job has died again."""
    for attempts in (1, 2):
        index_letter(store, "a", attempts)
        store.purge_dead(["a"])

    store.removed([Removal("default", "a", 1)])
    assert store.removals(10) == [Removal("default", "a", 2)]
    store.removed([Removal("default", "a", 2)])

    assert store.removals(10) == []


def test_what_was_purged_is_not_indexed_again(store):
    """While its message is still in the queue."""
    index_letter(store, "a")
    store.purge_dead(["a"])

    index_letter(store, "a")

    assert ids(store) == []


def test_what_the_index_does_not_know(store):
    """A later attempt is not known either."""
    index_letter(store, "a")

    assert store.unindexed([("a", 1), ("b", 1), ("a", 2)]) == ["b", "a"]


def test_strangers_are_listed_and_purged(store):
    """With a preview; they are no jobs to be replayed."""
    text, binary = stranger(store, b'{"no": 1}', failed_at_ms=2), stranger(store, failed_at_ms=1)

    letters = store.dead_letters([text, binary])

    assert [(x.preview, x.preview_encoding, x.is_job) for x in letters] == [
        ('{"no": 1}', "text", False),
        ("/w==", "base64", False),
    ]
    assert (ids(store), ids(store, jobs_only=True)) == ([text, binary], [])
    assert store.retry_sources([text]) == []
    assert store.purge_dead([text]) == [text]
    assert [removal.id for removal in store.removals(10)] == [text]


def test_limits_of_time_and_number(store):
    """Above the bound the oldest go first; the time is counted from their death."""
    for n in range(5):
        index_letter(store, f"job-{n}", failed_at_ms=1000 + n)

    def overdue(**limits: int) -> list[str]:
        limits = {"max_bytes": 10**9, **limits}
        return store.overdue_dead("default", limit=2, **limits)

    assert overdue(ttl_ms=0, max_count=4) == ["job-0"]
    assert overdue(ttl_ms=0, max_count=1) == ["job-0", "job-1"]
    assert overdue(ttl_ms=HOUR_MS, max_count=5) == ["job-0", "job-1"]
    assert overdue(ttl_ms=0, max_count=5) == []


def test_limits_of_bytes(store):
    """As many of the oldest go as make room; what has left the index does not count."""
    for n in range(3):
        index_letter(store, f"job-{n}", failed_at_ms=1000 + n, body=b"x" * 100)
    large = stranger(store, cut(b"x" * 1000, 300), failed_at_ms=1)

    def overdue(max_bytes: int) -> list[str]:
        return store.overdue_dead("default", ttl_ms=0, max_count=9, max_bytes=max_bytes, limit=9)

    assert store.dead_bytes() == {"default": 600}
    assert overdue(600) == []
    assert overdue(599) == [large]
    assert overdue(250) == [large, "job-0"]
    index_letter(store, "job-2", 2, failed_at_ms=1002, body=b"x" * 50)  # in place of the other
    assert store.dead_bytes() == {"default": 550}
    store.purge_dead([large, "job-0", "job-1", "job-2"])
    assert store.dead_bytes() == {"default": 0}


def test_a_retry_does_not_expire():
    """Its time may be over for long."""
    body = new_job("a").body.replace('"options":{', '"options":{"expires_s":1,"max_age":5')

    message = decode(for_retry(body, 4, {"args": [3]}))

    assert (message.expires_s, message.options.attempts_before, message.args) == (None, 4, [3])
