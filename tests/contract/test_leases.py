"""What holds a running job to its worker, and how it gets to another when the worker is gone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.jobs import (
    HOUR_MS,
    claim,
    counts,
    get,
    heartbeat,
    new_job,
    pending,
    running,
    settle,
    state,
)
from tests.polling import poll


def test_a_living_lease_keeps_its_jobs(store):
    """Nothing is lost while heartbeats come."""
    running(store)

    assert store.lost("r1", HOUR_MS, 10) == []


def test_a_lease_that_ran_out_loses_its_jobs(store):
    """The message comes with the job, and the token of the new holder."""
    job_id, token = running(store, args=[1])
    store.heartbeat("w1", {}, 1, [])

    (lost,) = poll(lambda: store.lost("r1", HOUR_MS, 10))

    assert (lost.id, lost.queue, lost.attempt, lost.crashes) == (job_id, "default", 1, 0)
    assert (lost.worker, lost.exit) == ("w1-name", "")
    assert token < lost.token
    assert "[1]" in lost.body
    assert 0 <= lost.ran_ms < 60_000
    assert state(store, job_id) == "running"


def test_a_heartbeat_extends_the_lease(store):
    """The last heartbeat counts, whether it makes the lease longer or shorter."""
    running(store)
    store.heartbeat("w1", {}, 1, [])
    store.heartbeat("w1", {}, HOUR_MS, [])

    assert store.lost("r1", HOUR_MS, 10) == []


def test_an_ended_lease_loses_its_jobs_at_once(store):
    """With what is known of the worker's end."""
    job_id, _ = running(store)

    assert store.end_lease("w1", "signal 9")

    assert [(lost.id, lost.exit) for lost in store.lost("r1", HOUR_MS, 10)] == [
        (job_id, "signal 9")
    ]


def test_a_worker_that_leaves_loses_what_it_holds(store):
    """It is gone from the list, and what it left behind is handed on."""
    job_id, _ = running(store)

    store.end_lease("w1", None)

    assert store.workers() == []
    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [job_id]


@pytest.mark.parametrize("end", ["leave", "end_lease"])
def test_ending_the_lease_of_an_idle_or_unknown_worker_does_nothing(store, end):
    """Ends may be told twice, and of workers without a job."""
    store.heartbeat("w1", {}, HOUR_MS, [])
    for owner in ("w1", "w1", "unheard-of"):
        assert not store.end_lease(owner, None if end == "leave" else "exit 1")

    assert store.lost("r1", HOUR_MS, 10) == []


def test_only_the_dead_workers_jobs_are_lost(store):
    """The others go on."""
    mine, _ = running(store, owner="w1")
    running(store, owner="w2")

    store.end_lease("w1", "exit 1")

    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [mine]


def test_an_exit_is_told_of_the_attempt_that_it_ended_only(store):
    """The next lost attempt of the same job does not show the first one's end."""
    job_id, _ = running(store)
    store.end_lease("w1", "signal 9")
    (lost,) = store.lost("r1", HOUR_MS, 10)
    settle(store, job_id, lost.token, "retrying", is_crash=True)
    store.take_due(10)
    store.heartbeat("w2", {}, HOUR_MS, [])
    claim(store, job_id, 2, owner="w2")
    store.end_lease("w2", None)

    (again,) = store.lost("r1", HOUR_MS, 10)

    assert (again.exit, again.crashes, again.attempt) == ("", 1, 2)


def test_the_worker_that_lost_a_job_is_told_and_fenced_off(store):
    """A worker that was frozen learns that its job is another's, and cannot settle it."""
    job_id, token = running(store)
    store.heartbeat("w1", {}, 0, [])
    store.lost("r1", HOUR_MS, 10)

    beat = store.heartbeat("w1", {}, HOUR_MS, [(job_id, token), ("unheard-of", 1)])

    assert beat.lost == [job_id, "unheard-of"]
    assert not settle(store, job_id, token)
    assert not store.progress(job_id, token, '{"done":1}')


def test_a_heartbeat_of_settled_jobs_tells_them_lost(store):
    """What is not running any more is not held."""
    job_id, token = running(store)
    settle(store, job_id, token)

    assert store.heartbeat("w1", {}, HOUR_MS, [(job_id, token)]).lost == [job_id]


def test_a_settled_job_is_not_lost(store):
    """A worker may die when its work is done."""
    job_id, token = running(store)
    settle(store, job_id, token)

    store.end_lease("w1", "exit 1")

    assert store.lost("r1", HOUR_MS, 10) == []


def test_several_reclaimers_get_each_job_once(new_store):
    """Lost jobs are handed out, not copied."""
    store = new_store()
    ids = {running(store)[0] for _ in range(100)}
    store.end_lease("w1", "exit 1")

    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda n: new_store().lost(f"r{n}", HOUR_MS, 20), range(8)))

    handed = [lost.id for part in parts for lost in part]
    assert (len(handed), set(handed)) == (100, ids)


def test_lost_gives_at_most_its_limit(store):
    """The rest comes with the next calls."""
    for _ in range(5):
        running(store)
    store.end_lease("w1", "exit 1")

    taken = [store.lost("r1", HOUR_MS, 2) for _ in range(4)]

    assert [len(part) for part in taken] == [2, 2, 1, 0]
    assert {lost.exit for part in taken for lost in part} == {"exit 1"}


def test_a_reclaimer_that_dies_loses_the_job_to_another(store):
    """A job on its way back is leased too; the exit and the time that it ran stay known."""
    job_id, _ = running(store)
    store.end_lease("w1", "signal 9")
    (first,) = store.lost("r1", 0, 10)

    (second,) = poll(lambda: store.lost("r2", HOUR_MS, 10))

    assert (job_id, "signal 9", first.ran_ms) == (second.id, second.exit, second.ran_ms)
    assert first.token < second.token
    assert not settle(store, job_id, first.token, "retrying")
    assert settle(store, job_id, second.token, "retrying")


def test_a_reclaimer_may_be_the_one_whose_lease_ran_out(store):
    """One that could not settle gets the job again, once in one call."""
    ids = [running(store)[0] for _ in range(3)]
    store.end_lease("w1", "exit 1")
    store.lost("r1", 0, 10)

    again = poll(lambda: store.lost("r1", HOUR_MS, 10))

    assert sorted(ids) == sorted(lost.id for lost in again)
    assert store.lost("r1", HOUR_MS, 10) == []


def test_a_reclaimer_that_leaves_hands_its_jobs_on_at_once(store):
    """One that cannot settle need not wait for its own lease to end."""
    job_id, _ = running(store)
    store.end_lease("w1", "exit 1")
    store.lost("r1", HOUR_MS, 10)

    store.end_lease("r1", None)

    assert [lost.id for lost in store.lost("r2", HOUR_MS, 10)] == [job_id]


def test_the_time_that_a_lost_job_ran_does_not_include_the_wait_for_its_lease(store):
    """A worker that is long silent has not run the job until now: its last heartbeat counts."""
    before_ms = store.now_ms()
    running(store)
    store.heartbeat("w1", {}, 500, [])
    after_ms = store.now_ms()

    (lost,) = poll(lambda: store.lost("r1", HOUR_MS, 10))

    assert lost.ran_ms <= after_ms - before_ms


def test_a_claim_without_a_heartbeat_is_not_held_for_ever(store):
    """A worker whose lease had ended, that claims and dies before its next heartbeat, loses the job."""
    store.heartbeat("w1", {}, 0, [])
    store.lost("r1", HOUR_MS, 10)
    job_id = pending(store)
    claim(store, job_id)

    store.end_lease("w1", "signal 9")

    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [job_id]


def test_crashes_are_counted_over_attempts(store):
    """Each settle with `is_crash` adds one, any other none."""
    job_id = pending(store)
    for attempt in (1, 2, 3):
        owner = f"w{attempt}"
        heartbeat(store, owner)
        verdict = claim(store, job_id, attempt, owner=owner)
        assert attempt - 1 == verdict.crashes
        store.end_lease(owner, "signal 9")
        (lost,) = store.lost("r1", HOUR_MS, 10)
        assert attempt - 1 == lost.crashes
        settle(store, job_id, lost.token, "retrying", is_crash=True)
        store.take_due(10)

    assert [attempt.outcome for attempt in get(store, job_id).attempts] == ["lost"] * 3
    assert counts(store) == {"default": {"pending": 1}}


def test_workers_are_listed_with_what_they_run(store):
    """A document for each, and whether it lives."""
    running(store, owner="w1")
    store.heartbeat("w2", {"host": "ä|b\n"}, 0, [])

    first, second = store.workers()

    assert (first["id"], first["is_alive"], first["running"]) == ("w1", True, 1)
    assert (
        second["id"],
        second["is_alive"],
        second["running"],
        second["host"],
    ) == ("w2", False, 0, "ä|b\n")
    assert abs(get(store, pending(store)).created_at - first["last_seen_at"]) < 60_000


def test_a_lost_worker_stays_listed_for_a_while(store):
    """An operator can see that it died."""
    store.create([new_job("a")])
    store.heartbeat("w1", {"host": "h"}, 0, [])
    store.end_lease("w1", "signal 9")
    store.prune(10)

    assert [(w["id"], w["is_alive"]) for w in store.workers()] == [("w1", False)]


def test_a_child_that_died_of_a_suspect_is_not_listed(store):
    """That is what it is for: its death is in the attempts of the job, and another takes its place."""
    running(store, owner="w1")
    store.heartbeat("w1", {"is_lone": True}, HOUR_MS, [])
    store.heartbeat("w2", {"is_lone": False}, 0, [])

    for owner in ("w1", "w2", "w3"):
        store.end_lease(owner, "signal 9", is_own_death=True)

    assert [(w["id"], w["is_alive"]) for w in store.workers()] == [("w2", False)]
    (lost,) = store.lost("r1", HOUR_MS, 10)
    assert (lost.exit, lost.is_own_death) == ("signal 9", True)


def test_an_outage_extends_the_leases_that_nobody_could_extend(store):
    """The first look in a long time gives them time; the next ones find what was not extended then."""
    job_id, _ = running(store)
    assert not store.forgive_outage(HOUR_MS, 1)
    store.heartbeat("w1", {}, 1, [])

    assert store.forgive_outage(0, HOUR_MS)

    assert store.lost("r1", HOUR_MS, 10) == []
    store.heartbeat("w1", {}, 1, [])
    assert not store.forgive_outage(HOUR_MS, HOUR_MS)
    assert [lost.id for lost in poll(lambda: store.lost("r1", HOUR_MS, 10))] == [job_id]


def test_an_outage_never_shortens_a_lease(store):
    """It was extended meanwhile, for longer."""
    running(store)
    store.heartbeat("w1", {}, HOUR_MS, [])

    store.forgive_outage(0, 1)

    assert store.lost("r1", HOUR_MS, 10) == []


def test_a_store_that_nobody_has_looked_at_yet_had_no_outage(store):
    """So the first scheduler of all does not wait."""
    assert not store.forgive_outage(1, HOUR_MS)


@pytest.fixture(params=["leave", "end_lease"])
def end(request, store):
    """A function that ends a worker, in good order or not."""

    def end(owner: str) -> None:
        if request.param == "leave":
            store.end_lease(owner, None)
        else:
            store.end_lease(owner, "killed by SIGKILL", is_own_death=True)

    return end


def test_an_outage_is_no_grace_for_workers_that_have_ended(store, end):
    """What is known of their end holds."""
    job_id, _ = running(store)
    end("w1")

    assert store.forgive_outage(0, HOUR_MS)

    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [job_id]


def test_a_heartbeat_of_a_worker_that_has_ended_renews_nothing(store, end):
    """It was on its way: what the worker held is reclaimed at once, and ran until its end."""
    job_id, token = running(store)
    end("w1")

    beat = store.heartbeat("w1", {"name": "w1"}, HOUR_MS, [(job_id, token)])

    assert beat.lost == [job_id]
    (lost,) = store.lost("r1", HOUR_MS, 10)
    assert lost.id == job_id


def test_a_claim_of_a_worker_that_has_ended_is_granted_nothing(store, end):
    """It was on its way: the job stays ready for all others, and has lost no attempt."""
    job_id = pending(store)
    heartbeat(store)
    end("w1")

    late = claim(store, job_id, call=1)

    assert late.kind == "gone"
    assert (state(store, job_id), get(store, job_id).attempt) == ("pending", 0)
    assert claim(store, job_id, owner="w2").kind == "run"


def test_a_repeated_claim_of_a_worker_that_has_ended_is_granted_nothing(store, end):
    """The job is lost with what else the worker held."""
    job_id, _ = running(store)
    end("w1")

    assert claim(store, job_id).kind == "gone"
    assert [lost.id for lost in store.lost("r1", HOUR_MS, 10)] == [job_id]


def test_an_outcome_of_a_worker_that_has_ended_is_taken(store, end):
    """By its token, as that of any other: the job has run."""
    job_id, token = running(store)
    end("w1")

    assert settle(store, job_id, token)
    assert state(store, job_id) == "completed"
    assert store.lost("r1", HOUR_MS, 10) == []


def test_what_a_worker_held_that_left_had_no_company(store):
    """It had ended: none of it is to blame, whoever reclaims it."""
    job_id, _ = running(store)
    store.end_lease("w1", None)

    told = [store.lost(owner, 0, 10) for owner in ("r1", "r2")]

    assert [[(lost.id, lost.company) for lost in part] for part in told] == [[(job_id, 0)]] * 2
