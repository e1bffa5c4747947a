"""What `claim` answers in each state of a job."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from taskyard.store.attempts import Claim, Outcome
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    get,
    heartbeat,
    new_job,
    outbox,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll


@pytest.fixture(autouse=True)
def _leases(store):
    heartbeat(store, "w1")
    heartbeat(store, "w2")


def test_a_pending_job_runs(store):
    """The first to ask gets the attempt, with a token."""
    job_id = pending(store)

    verdict = claim(store, job_id)

    assert (verdict.kind, verdict.crashes) == ("run", 0)
    assert verdict.token > 0
    assert 0 <= verdict.started_at_ms - verdict.ready_at_ms < 60_000
    job = get(store, job_id)
    assert ("running", 1, verdict.started_at_ms) == (job.state.value, job.attempt, job.started_at)
    assert [(a.number, a.worker, a.outcome) for a in job.attempts] == [(1, "w1-name", "running")]


def test_each_attempt_has_a_token_of_its_own(store):
    """Tokens only grow."""
    tokens = [running(store)[1] for _ in range(3)]

    assert sorted(set(tokens)) == tokens


def test_the_same_owner_asking_again_gets_the_same_answer(store):
    """An answer that was lost on its way can be had again."""
    job_id = pending(store)

    first, again = claim(store, job_id), claim(store, job_id)

    assert first == again
    assert counts(store) == {"default": {"running": 1}}


def test_another_owner_is_told_that_it_is_leased(store):
    """Nobody runs beside a living lease."""
    job_id, _ = running(store, owner="w1")

    assert claim(store, job_id, owner="w2").kind == "leased"


@pytest.mark.parametrize("attempt", [0, 2, 7])
def test_a_message_with_another_attempt_number_is_a_duplicate(store, attempt):
    """The record says which attempt is next; a message of an old one does not start it."""
    assert claim(store, pending(store), attempt).kind == "duplicate"


@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_an_ended_job_does_not_run_again(store, kind):
    """A copy that comes after the end is a duplicate."""
    job_id, token = running(store)
    settle(store, job_id, token, kind)

    assert [
        claim(store, job_id, 1).kind,
        claim(store, job_id, 2).kind,
    ] == ["duplicate", "duplicate"]
    assert state(store, job_id) == kind


def test_a_waiting_job_does_not_start(store):
    """Before it is due, neither the message of its last attempt nor of its next starts it."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)

    assert [
        claim(store, job_id, 1).kind,
        claim(store, job_id, 2).kind,
    ] == ["duplicate", "duplicate"]
    assert claim(store, pending(store, delay_ms=HOUR_MS)).kind == "duplicate"


def test_a_cancelled_job_does_not_start(store):
    """Its message is told why."""
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)

    assert claim(store, job_id).kind == "cancelled"


def test_a_job_without_a_record_is_unknown(store):
    """So its worker can record it anew."""
    assert claim(store, "unheard-of").kind == "unknown"


def test_a_pruned_job_is_unknown(store):
    """A copy that comes after the record's end is like any message without a record."""
    job_id, token = running(store)
    settle(store, job_id, token, ttl_ms=0)
    assert store.prune(10) == 1

    assert claim(store, job_id).kind == "unknown"
    assert counts(store) == {}


def test_an_expired_job_does_not_start(store):
    """The time to expire counts from the submission."""
    job_id = pending(store, created_at_ms=1)

    assert claim(store, job_id, expires_ms=HOUR_MS).kind == "expired"
    assert state(store, job_id) == "expired"
    assert get(store, job_id).finished_at is not None
    assert ({"default": {"expired": 1}}, set()) == (counts(store), outbox(store))
    assert claim(store, job_id).kind == "duplicate"


def test_a_job_that_has_not_expired_runs(store):
    """Until then it is like any other."""
    assert claim(store, pending(store), expires_ms=HOUR_MS).kind == "run"


def test_an_expired_job_is_kept_for_a_while(new_store):
    """Its record goes the way of completed ones."""
    store = new_store(result_ttl=1)
    job_id = pending(store, created_at_ms=1)
    claim(store, job_id, expires_ms=1)

    assert store.prune(10) == 0
    assert poll(lambda: store.prune(10) == 1)


def test_a_job_of_an_unknown_task_is_parked(store):
    """It waits for a worker that knows the task, and says so."""
    job_id = pending(store)

    verdict = claim(store, job_id, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS)

    assert verdict.kind == "parked"
    job = get(store, job_id)
    assert (job.state.value, job.reason, job.attempt) == ("scheduled", "unknown_task", 0)
    assert ({"default": {"scheduled": 1}}, set()) == (counts(store), outbox(store))


def test_a_parked_job_comes_back_and_runs_where_its_task_is_known(store):
    """Parking uses up no attempt and leaves no reason behind."""
    job_id = pending(store)
    claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)

    (ready,) = poll(lambda: store.take_due(10)[0])

    assert (ready.id, ready.attempt) == (job_id, 1)
    assert claim(store, job_id, ready.attempt).kind == "run"
    assert get(store, job_id).reason is None


def states_told(subscription, job_id, last):
    """Return the states that a job came to, as they were told, up to this one."""
    told: list[str] = []

    def is_told():
        told.extend(each.state for each in subscription.get(0.1) if each and each.id == job_id)
        return last in told

    poll(is_told)
    return told


def test_a_parked_job_that_is_looked_at_again_and_again_is_told_of_once(store):
    """When it is parked, and when it goes on: between these nothing has changed for anyone."""
    subscription = store.subscribe()
    job_id = pending(store)
    for _ in range(3):
        claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)
        (ready,) = poll(lambda: store.take_due(10)[0])
        assert (ready.id, ready.is_parked) == (job_id, True)
    assert get(store, job_id).reason == "unknown_task"
    claim(store, job_id)

    assert states_told(subscription, job_id, "running") == ["pending", "scheduled", "running"]
    assert counts(store) == {"default": {"running": 1}}
    subscription.close()


def test_a_job_that_was_parked_once_is_told_of_as_any_other_after_that(store):
    """It waits for its retry, and comes again."""
    job_id = pending(store)
    claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)
    poll(lambda: store.take_due(10)[0])
    verdict = claim(store, job_id)
    subscription = store.subscribe()

    settle(store, job_id, verdict.token, "retrying", delay_ms=1)
    (ready,) = poll(lambda: store.take_due(10)[0])

    assert not ready.is_parked
    assert states_told(subscription, job_id, "pending") == ["retrying", "pending"]
    subscription.close()


def test_a_job_parked_for_too_long_runs(store):
    """So that it fails where it can be seen."""
    job_id = pending(store)
    claim(store, job_id, park_delay_ms=1, park_ttl_ms=HOUR_MS)
    poll(lambda: store.take_due(10)[0])

    verdict = poll(lambda: _parked_again(store, job_id))

    assert verdict.kind == "run"


def _parked_again(store, job_id):
    """Ask as a worker does that gives up after 1 ms; the verdict, once it is not to be parked."""
    verdict = claim(store, job_id, park_delay_ms=1, park_ttl_ms=1)
    if verdict.kind == "parked":
        poll(lambda: store.take_due(10)[0])
        return None
    return verdict


def test_a_job_is_counted_in_the_queue_that_its_message_was_read_from(store):
    """A message that was moved by hand takes its job along."""
    job_id = pending(store, queue="old")

    claim(store, job_id, queue="new")

    assert get(store, job_id).queue == "new"
    assert counts(store) == {"new": {"running": 1}}


def test_one_call_gives_each_claim_its_verdict(store):
    """Verdicts come in the order of the claims, and one claim does not disturb another."""
    ready, ended = pending(store), pending(store)
    store.cancel([ended], HOUR_MS)

    verdicts = store.claim("w1", "w1", [Claim(job, 1, "default") for job in ("none", ended, ready)])

    assert [verdict.kind for verdict in verdicts] == ["unknown", "cancelled", "run"]


def test_one_job_twice_in_one_call_starts_once(store):
    """Two copies of a message in one batch are one attempt with one token."""
    job_id = pending(store)

    first, second = store.claim("w1", "w1", [Claim(job_id, 1, "default")] * 2)

    assert first == second
    assert counts(store) == {"default": {"running": 1}}


def test_attempt_numbers_grow_with_each_retry(store):
    """The message of each attempt has the next number."""
    job_id, token = running(store)
    for attempt in (2, 3):
        settle(store, job_id, token, "retrying")
        (ready,), _ = store.take_due(10)
        assert ready.attempt == attempt
        token = claim(store, job_id, attempt).token

    assert get(store, job_id).attempt == 3
    assert [attempt.number for attempt in get(store, job_id).attempts] == [1, 2, 3]


def test_eight_owners_claim_and_one_gets_it(new_store):
    """However many copies of a message there are, one attempt starts."""
    store = new_store()
    ids = [job.id for job in (new_job() for _ in range(200))]
    store.create([new_job(job_id) for job_id in ids])
    claims = [Claim(job_id, 1, "default") for job_id in ids]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: new_store().claim(f"o{n}", "w", claims), range(8)))

    runs = [verdict.kind for verdicts in answers for verdict in verdicts].count("run")
    assert runs == 200
    assert counts(store) == {"default": {"running": 200}}


def test_one_exchange_settles_and_then_claims(store):
    """In this order: a job that is handed back can be claimed by the same call."""
    ended, released, ready = (pending(store) for _ in range(3))
    tokens = [claim(store, job_id).token for job_id in (ended, released)]

    accepted, verdicts = store.exchange(
        [
            Outcome(ended, tokens[0], "completed", ttl_ms=HOUR_MS),
            Outcome(released, tokens[1], "released"),
            Outcome(ended, 0, "failed"),
        ],
        "w2",
        "w2-name",
        [Claim(released, 1, "default"), Claim(ready, 1, "default"), Claim(ended, 1, "default")],
    )

    assert accepted == ["accepted", "accepted", "stale"]
    assert [verdict.kind for verdict in verdicts] == ["run", "run", "duplicate"]
    assert counts(store) == {"default": {"completed": 1, "running": 2}}


def test_a_claim_tells_when_the_job_first_failed(store):
    """0 before the first failure; then that of the first, whatever follows."""
    job_id = pending(store)
    first = claim(store, job_id)
    settle(store, job_id, first.token, "retrying")
    store.take_due(1)
    second = claim(store, job_id, 2)
    settle(store, job_id, second.token, "retrying")
    store.take_due(1)
    third = claim(store, job_id, 3)

    assert first.first_failed_at_ms == 0
    failed_at_ms = get(store, job_id).attempts[0].finished_at
    assert failed_at_ms == second.first_failed_at_ms == third.first_failed_at_ms
