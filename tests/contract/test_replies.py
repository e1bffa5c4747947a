"""Outcomes that are owed to somebody: noted with the end itself, given until they are confirmed."""

import pytest
from msgspec.structs import replace

from taskyard.store.dead_letters import RetryRequest
from taskyard.store.replies import MAX_RECIPIENTS, OwedReply, ReplyAddress, ReplyRequest
from tests.contract import jobs
from tests.contract.jobs import HOUR_MS
from tests.polling import poll


def owed(store, again_ms: int = HOUR_MS) -> dict[str, OwedReply]:
    """Take what is owed; return it by job."""
    return {each.job_id: each for each in store.take_replies(again_ms, 100)[0]}


def ask(store, job_id: str, reply_to: str = "q", correlation_id: str = "c") -> None:
    """Ask for one reply."""
    store.request_replies([ReplyRequest(job_id, reply_to, correlation_id)])


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled"])
def test_an_end_is_owed_to_who_asked(store, kind):
    """Nothing is owed before the end; then it is, with where it goes."""
    job_id, token = jobs.running(store)
    ask(store, job_id)
    assert owed(store) == {}

    jobs.settle(store, job_id, token, kind)

    assert owed(store)[job_id].recipients == [ReplyAddress("q", "c")]


def test_a_cancelled_or_expired_job_has_ended_too(store):
    """Ends without an attempt count."""
    waiting, expired = jobs.pending(store, delay_ms=HOUR_MS), jobs.pending(store)
    ask(store, waiting)
    ask(store, expired)

    store.cancel([waiting], HOUR_MS)
    created_at = jobs.get(store, expired).created_at
    poll(lambda: store.now_ms() > created_at)
    assert jobs.claim(store, expired, expires_ms=1).kind == "expired"

    assert set(owed(store)) == {waiting, expired}


def test_who_asks_after_the_end_is_told_at_once(store):
    """The job may end between its submission and the wish."""
    job_id, token = jobs.running(store)
    jobs.settle(store, job_id, token)

    ask(store, job_id)

    assert 0 <= owed(store)[job_id].age_ms < 60_000


def test_a_job_that_goes_on_owes_nothing(store):
    """A retry is no end; nor is a job that nobody asked of, or that is not there."""
    job_id, token = jobs.running(store)
    ask(store, job_id)
    ask(store, "absent")

    jobs.settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)
    other, token = jobs.running(store)
    jobs.settle(store, other, token)

    assert store.take_replies(0, 100) == ([], 0)


def test_what_is_taken_is_hidden_and_comes_again(store):
    """A sender that dies leaves it to another one; what is confirmed is gone."""
    job_id, token = jobs.running(store)
    ask(store, job_id)
    jobs.settle(store, job_id, token)

    assert (len(owed(store, 50)), store.take_replies(50, 100)[1]) == (1, 1)
    again = poll(lambda: owed(store))
    store.mark_replied(list(again.values()))

    assert store.take_replies(0, 100) == ([], 0)


def test_what_is_asked_for_meanwhile_is_not_forgotten(store):
    """A producer that came back with another queue, between a sender's taking and its confirm."""
    job_id, token = jobs.running(store)
    ask(store, job_id, "old")
    jobs.settle(store, job_id, token)
    taken = owed(store)

    ask(store, job_id, "new")
    store.mark_replied(list(taken.values()))

    assert owed(store)[job_id].recipients == [ReplyAddress("old", "c"), ReplyAddress("new", "c")]


def test_only_the_places_that_were_told_are_forgotten(store):
    """One that could not be told yet is owed on; the others are not told again."""
    job_id, token = jobs.running(store)
    for recipient in ("told", "late", "said"):
        ask(store, job_id, recipient)
    jobs.settle(store, job_id, token)
    (taken,) = owed(store, 0).values()

    store.mark_replied(
        [replace(taken, recipients=[ReplyAddress("told", "c"), ReplyAddress("said", "c")])]
    )

    assert owed(store, 0)[job_id].recipients == [ReplyAddress("late", "c")]
    store.mark_replied([replace(taken, recipients=[ReplyAddress("late", "c")], again_at_ms=1)])
    assert store.take_replies(0, 100)[1] == 1  # of another taking
    store.mark_replied(list(owed(store).values()))
    assert store.take_replies(0, 100) == ([], 0)


def test_a_job_that_is_retried_is_owed_at_its_next_end(store):
    """An operator brought it back before anybody was told that it had failed."""
    job_id = jobs.pending(store, delay_ms=HOUR_MS)
    ask(store, job_id)
    store.cancel([job_id], HOUR_MS)
    (found,) = store.retry_sources([job_id])
    store.retry([RetryRequest(job_id, found.attempts_made, found.body)])
    assert owed(store) == {}

    store.cancel([job_id], HOUR_MS)

    assert list(owed(store)) == [job_id]


def test_places_are_counted_once_and_bounded(store):
    """The same recipient twice is one; of too many, the submitter's and the latest are kept."""
    job_id, token = jobs.running(store, reply_to="q0")
    for number in [*range(MAX_RECIPIENTS + 2), MAX_RECIPIENTS + 1]:
        ask(store, job_id, f"q{number}")

    jobs.settle(store, job_id, token)

    latest = [ReplyAddress(f"q{n}", "c") for n in range(3, MAX_RECIPIENTS + 2)]
    assert [ReplyAddress("q0", "c", is_submitter=True), *latest] == owed(store)[job_id].recipients


@pytest.mark.parametrize(
    ("reply_to", "correlation_id", "is_submitter"),
    [("mine", "x", True), ("other", "mine too", True), ("other", "x", False), ("other", "", False)],
)
def test_a_submitter_is_known_by_queue_or_correlation(
    store, reply_to, correlation_id, is_submitter
):
    """Of those that it had when the job was recorded; where it had none, nobody is."""
    known, token = jobs.running(store, reply_to="mine", correlation_id="mine too")
    unknown, other_token = jobs.running(store)
    for job_id in (known, unknown):
        ask(store, job_id, reply_to, correlation_id)
    jobs.settle(store, known, token)
    jobs.settle(store, unknown, other_token)

    told = owed(store)

    assert [recipient.is_submitter for recipient in told[known].recipients] == [is_submitter]
    assert [recipient.is_submitter for recipient in told[unknown].recipients] == [False]


def test_a_record_outlives_its_time_until_it_is_told(store):
    """Pruning leaves what a reply is made of; a record that was removed by hand is told as gone."""
    job_id, token = jobs.running(store)
    ask(store, job_id)
    jobs.settle(store, job_id, token, ttl_ms=0)

    assert store.prune(100) == 0
    store.remove([job_id])

    assert owed(store)[job_id].age_ms == -1


def test_waiting_ends_with_an_end(store, new_store):
    """Whoever sends replies need not look all the time."""
    sender = new_store()
    job_id, token = jobs.running(store)
    ask(store, job_id)
    sender.await_work("replies", 0.01)
    jobs.settle(store, job_id, token)

    sender.await_work("replies", 30)

    assert list(owed(sender)) == [job_id]


def test_nothing_is_owed_of_a_job_that_was_withdrawn(store):
    """If its id is used again, that is another matter: who asked before was refused."""
    job_id = jobs.pending(store)
    ask(store, job_id)
    store.withdraw([job_id])
    jobs.pending(store, job_id=job_id)

    store.cancel([job_id], HOUR_MS)

    assert owed(store) == {}
