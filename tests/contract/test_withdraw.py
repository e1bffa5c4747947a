"""What `withdraw` promises: what failed is forgotten and never runs, what others rely on stays."""

import pytest

from taskyard.store.controls import Limits
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.jobs import Change
from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    declare_limits,
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


def test_withdrawn_jobs_are_forgotten(store):
    """A submission that failed leaves nothing behind, whether it was ready or not."""
    ready, scheduled = pending(store), pending(store, delay_ms=HOUR_MS)

    store.withdraw([ready, scheduled, "unheard-of"])
    store.withdraw([ready])

    assert store.get([ready, scheduled]) == [None, None]
    assert ({}, set(), ([], None)) == (counts(store), outbox(store), store.take_due(10))
    assert store.create([new_job(ready)])[0].is_new


def test_a_withdrawn_job_does_not_run_when_its_message_comes(store):
    """Nor when it comes again; one that has no message on its way leaves nothing behind."""
    heartbeat(store)
    out, refused = pending(store), pending(store)

    assert store.withdraw([out, refused], published=[out]) == []

    assert [claim(store, out).kind for _ in range(2)] == ["cancelled"] * 2
    assert claim(store, refused).kind == "unknown"
    assert store.get([out]) == [None]
    assert store.totals().missing == 0


def test_a_withdrawn_job_that_is_created_again_runs_once(store):
    """Whichever of its two messages comes first."""
    heartbeat(store)
    job_id = pending(store)
    store.withdraw([job_id], published=[job_id])

    assert store.create([new_job(job_id)])[0].is_new

    assert [claim(store, job_id, owner=owner).kind for owner in ("w1", "w2")] == ["run", "leased"]
    assert store.totals().missing == 0


def test_a_withdrawn_job_is_remembered_for_a_time_only(new_store):
    """Once its message has come, as long as a result is kept: a message comes again soon or never."""
    store = new_store(result_ttl=1)
    heartbeat(store)
    job_id = pending(store)
    store.withdraw([job_id], published=[job_id])

    assert claim(store, job_id).kind == "cancelled"

    def is_forgotten() -> bool:
        store.prune(10)
        return claim(store, job_id).kind == "unknown"

    poll(is_forgotten)


def test_a_job_that_started_is_not_withdrawn(store):
    """Whoever gave up waiting for the confirm may be wrong: the message was there, and runs."""
    job_id, _ = running(store)

    assert store.withdraw([job_id]) == [job_id]

    assert state(store, job_id) == "running"


def test_a_job_that_another_caller_was_promised_is_not_withdrawn(store):
    """A client that asks again with the same id is told that its job is there: so it must stay."""
    ready, scheduled = pending(store), pending(store, delay_ms=HOUR_MS)
    store.create([new_job(ready), new_job(scheduled)])

    assert store.withdraw([ready, scheduled]) == [ready, scheduled]

    assert [state(store, ready), state(store, scheduled)] == ["pending", "scheduled"]
    assert outbox(store) == {ready}


def retrying(store) -> str:
    """Return a job whose first attempt has failed."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS)
    return job_id


def due_again(store) -> str:
    """Return a job that is pending for its second attempt."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying")
    assert [ready.id for ready in store.take_due(10)[0]] == [job_id]
    return job_id


def held_back(store) -> str:
    """Return a job whose second attempt its limit holds back."""
    job_id = due_again(store)
    declare_limits(store, Limits(concurrency=1))
    first = pending(store)
    assert [claim(store, first, task="add").kind, claim(store, job_id, 2, task="add").kind] == [
        "run",
        "limited",
    ]
    return job_id


def handed_back(store) -> str:
    """Return a job whose first attempt a stopping worker broke off, which counts as none."""
    job_id, token = running(store)
    settle(store, job_id, token, "released")
    return job_id


def suspect(store) -> str:
    """Return a job that is tried alone next."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", is_loss=True, is_suspect=True)
    return job_id


def parked_again(store) -> str:
    """Return a job that waits for a worker that knows its task, after an attempt."""
    job_id = due_again(store)
    claim(store, job_id, 2, park_delay_ms=HOUR_MS, park_ttl_ms=HOUR_MS)
    return job_id


@pytest.mark.parametrize(
    "prepared", [retrying, due_again, held_back, handed_back, suspect, parked_again]
)
def test_a_job_that_has_run_is_not_withdrawn(store, prepared):
    """Its message came before whoever sent it heard so; where it is by now does not matter."""
    job_id = prepared(store)
    before, told = get(store, job_id), counts(store)

    assert store.withdraw([job_id], published=[job_id]) == [job_id]

    assert (get(store, job_id), counts(store)) == (before, told)
    assert store.check_records("0", 100).findings == []


def test_a_job_that_has_run_runs_on_after_a_withdrawal(store):
    """Its next message is good."""
    job_id = due_again(store)

    store.withdraw([job_id], published=[job_id])

    assert claim(store, job_id, 2).kind == "run"


def test_a_job_that_was_retried_meanwhile_is_not_withdrawn(store):
    """An operator was told that it will run."""
    job_id = pending(store)
    store.cancel([job_id], HOUR_MS)
    (job,) = store.retry_sources([job_id])
    store.retry([RetryRequest(job_id, job.attempts_made, job.body)])

    assert store.withdraw([job_id]) == [job_id]

    assert state(store, job_id) == "pending"


def test_a_job_that_was_changed_meanwhile_is_not_withdrawn(store):
    """As by an operator who has it run now, and was told that it does."""
    job_id = pending(store, delay_ms=HOUR_MS)
    assert store.change(job_id, Change(delay_ms=0)).verdict == "changed"

    assert store.withdraw([job_id]) == [job_id]

    assert [ready.id for ready in store.take_due(10)[0]] == [job_id]


def test_a_job_that_came_due_meanwhile_does_not_run(store):
    """A job of the same call was refused: whoever sent this one's message is not asked."""
    heartbeat(store)
    job_id = pending(store, delay_ms=1)
    poll(lambda: store.take_due(10)[0])

    assert store.withdraw([job_id]) == []

    assert claim(store, job_id).kind == "cancelled"


def test_a_job_that_was_relayed_meanwhile_does_not_run(store):
    """Its caller may know that its own message was refused; the relay's was not."""
    heartbeat(store)
    job_id = pending(store)
    store.unpublished(0, 10)

    assert store.withdraw([job_id]) == []

    assert claim(store, job_id).kind == "cancelled"


def test_a_job_that_its_limit_let_go_meanwhile_does_not_run(store):
    """It was sent again then."""
    declare_limits(store, Limits(concurrency=1))
    heartbeat(store)
    first, job_id = pending(store), pending(store)
    token = claim(store, first, task="add").token
    assert claim(store, job_id, task="add").kind == "limited"
    settle(store, first, token)
    poll(lambda: store.take_due(10)[0])

    assert store.withdraw([job_id]) == []

    assert claim(store, job_id, task="add").kind == "cancelled"


def test_a_message_of_an_earlier_submission_does_not_run_after_a_second_refusal(store):
    """The first may arrive, the second never will: both were answered with an error."""
    heartbeat(store)
    job_id = pending(store)
    store.withdraw([job_id], published=[job_id])
    pending(store, job_id=job_id)

    assert store.withdraw([job_id]) == []

    assert claim(store, job_id).kind == "cancelled"


def test_a_withdrawn_job_whose_record_was_lost_does_not_run(store):
    """As by a failover: its message would else be taken for a new job."""
    heartbeat(store)

    assert store.withdraw(["lost"], published=["lost"]) == []

    assert claim(store, "lost").kind == "cancelled"
