"""What outcomes mean to a store that has forgotten what came last, as one does after a failover."""

import pytest
import redis

from taskyard.store.attempts import Outcome
from taskyard.store.controls import Limits
from taskyard.store.finding import Filter
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    declare_limits,
    get,
    heartbeat,
    outbox,
    pending,
    settle,
    state,
)
from tests.contract.test_dead_letters import ids as letters
from tests.contract.test_dead_letters import index_letter, retry
from tests.polling import poll


@pytest.fixture
def failover(result_backend, key_prefix):
    """A function that notes what the server has, and returns one that makes it forget all since."""

    def note():
        noted = {key: raw.dump(key) for key in raw.scan_iter(f"{key_prefix}*", count=1000)}

        def forget():
            for key in raw.scan_iter(f"{key_prefix}*", count=1000):
                raw.delete(key)
            for key, value in noted.items():
                raw.restore(key, 0, value)

        return forget

    with redis.Redis.from_url(result_backend) as raw:
        yield note


def tell(store, job_id, token, kind="completed", attempt=1, owner="w1"):
    """Tell how an attempt ended, as its worker does; return what the store says."""
    outcome = Outcome(job_id, token, kind, ttl_ms=HOUR_MS, attempt=attempt, result="7")
    return store.exchange([outcome], owner, owner, [])[0][0]


@pytest.mark.parametrize("before", ["pending", "retrying", "scheduled", "limited"])
@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "retrying", "released"])
def test_an_outcome_whose_claim_was_lost_in_a_failover_counts(store, failover, before, kind):
    """The record is as it was just before the claim: the attempt has run, and does not run again."""
    heartbeat(store)
    job_id = pending(store, delay_ms=1 if before == "scheduled" else None)
    attempt = 1
    if before == "retrying":
        settle(store, job_id, claim(store, job_id).token, "retrying")
        attempt = 2
    if before == "limited":
        declare_limits(store, Limits(concurrency=1))
        other = pending(store)
        first = claim(store, other, task="add")
        assert claim(store, job_id, task="add").kind == "limited"
        settle(store, other, first.token)
    forget = failover()
    poll(lambda: store.take_due(10)[0] or before == "pending")
    verdict = claim(store, job_id, attempt, task="add")
    assert verdict.kind == "run"

    forget()
    told = tell(store, job_id, verdict.token, kind, attempt)

    assert told == "accepted"
    expected = {"released": "pending"}.get(kind, kind)
    assert state(store, job_id) == expected
    assert len(get(store, job_id).attempts) == attempt - (kind == "released")
    assert sum(n for row in store.counts() for n in row.states.values()) == len(
        store.find(Filter()).jobs
    )
    assert outbox(store) == ({job_id} if kind == "released" else set())
    assert tell(store, job_id, verdict.token, kind, attempt) == "accepted"


def test_a_letter_counts_where_its_outcome_will(store, failover):
    """What fails for good meanwhile has both; what has neither runs again, and leaves no letter behind."""
    heartbeat(store)
    known, doubtful = pending(store), pending(store)
    forget = failover()
    settle(store, doubtful, claim(store, doubtful).token, "retrying")
    store.take_due(10)
    verdicts = {known: (1, claim(store, known)), doubtful: (2, claim(store, doubtful, 2))}

    forget()
    for job_id, (attempt, _) in verdicts.items():
        index_letter(store, job_id, attempt)
    assert retry(store, known) == "changed", "it is about to be failed"
    told = {
        job_id: tell(store, job_id, verdict.token, "failed", attempt)
        for job_id, (attempt, verdict) in verdicts.items()
    }

    assert told == {known: "accepted", doubtful: "forgotten"}
    assert (state(store, known), letters(store)) == ("failed", [known])
    store.mark_published([(doubtful, LATER_MS)])
    assert [each.id for each in store.removals(10)] == [doubtful]


def test_an_outcome_that_a_failover_has_made_doubtful_is_not_accepted(store, failover):
    """The record tells of another attempt, older or newer: only a newer one has taken over."""
    heartbeat(store)
    older, newer, gone = (pending(store) for _ in range(3))
    forget = failover()
    for job_id in (older, newer, gone):
        settle(store, job_id, claim(store, job_id).token, "retrying")
    store.take_due(10)
    verdicts = {job_id: claim(store, job_id, 2) for job_id in (older, newer, gone)}
    forget()
    store.withdraw([gone])
    heartbeat(store, "w2")
    claim(store, newer, owner="w2")

    assert {
        job_id: tell(store, job_id, verdict.token, attempt=2)
        for job_id, verdict in verdicts.items()
    } == {older: "forgotten", newer: "stale", gone: "missing"}
    assert [state(store, job_id) for job_id in (older, newer)] == ["pending", "running"]
