"""What replays promise: each job once, at the rate, the canary first, and until they are stopped."""

from taskyard.message import for_retry
from taskyard.store import JobStore
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.replays import NewReplay, Replay
from tests.contract.jobs import claim, new_job, settle, state
from tests.contract.test_dead_letters import failed
from tests.polling import poll

LEASE_MS = 60_000


def start(store: JobStore, count: int, **fields) -> list[str]:
    """Start the replay `r` of so many failed jobs; return their ids."""
    found = [(failed(store, failed_at_ms=n + 1), n + 1) for n in range(count)]
    store.add_to_replay("r", found)
    store.start_replay(NewReplay(id="r", request="{}", **fields))
    return [each for each, _ in found]


def take(store: JobStore, limit: int = 100, lease_ms: int = LEASE_MS) -> list[str]:
    """Take what may be replayed now."""
    return [each for batch in store.take_replays(limit, lease_ms)[0] for each in batch.ids]


def retry(store: JobStore, ids: list[str]) -> list[str]:
    """Bring these back as part of the replay; return the verdicts."""
    rows = [
        RetryRequest(job.id, job.attempts_made, for_retry(job.body, job.attempts_made))
        for job in store.retry_sources(ids)
    ]
    return [answer.verdict for answer in store.retry(rows, replay_id="r")]


def replay(store: JobStore) -> Replay:
    """Return the replay."""
    (found,) = store.replays(["r"])
    return found


def run(store: JobStore, job_id: str, kind: str = "completed") -> None:
    """Run the job's second attempt."""
    assert settle(store, job_id, claim(store, job_id, 2).token, kind)


def test_a_replay_brings_back_all_and_ends(store):
    """Oldest first; it counts what it did."""
    jobs = start(store, 3)

    assert take(store) == jobs
    assert retry(store, jobs) == ["retried"] * 3
    take(store)

    done = replay(store)
    assert (done.state, done.total, done.replayed, done.skipped) == ("completed", 3, 3, 0)
    assert done.finished_at_ms is not None
    assert store.newest_replays()[0] == [done]


def test_a_batch_is_one_schedulers_until_its_lease_ends(store):
    """Then another gets what is left of it, and what the first does after all counts once."""
    jobs = start(store, 2)

    assert take(store, lease_ms=1) == jobs
    first = poll(lambda: take(store))
    assert take(store) == []

    assert retry(store, first) == ["retried"] * 2
    rows = [RetryRequest(each, 1, new_job(each).body) for each in jobs]
    assert [a.verdict for a in store.retry(rows, replay_id="r")] == ["changed"] * 2
    assert replay(store).replayed == 2


def test_the_rate_is_kept(store):
    """One at once, then one each time that so much of a second is over."""
    before_ms = store.now_ms()
    start(store, 20, rate_per_s=50)

    taken = 0
    while taken < 20:
        taken += len(take(store))
        assert taken <= 1 + (store.now_ms() - before_ms) / 20


def test_the_canary_goes_first(store):
    """The others follow once it has completed."""
    jobs = start(store, 5, canary=2)

    canary = take(store)
    assert jobs[:2] == canary
    retry(store, canary)
    assert take(store) == []
    assert replay(store).state == "waiting_for_canary"
    for each in canary:
        run(store, each)

    assert jobs[2:] == take(store)
    assert replay(store).state == "running"


def test_a_dead_canary_stops_the_replay(store):
    """With the reason; the others stay dead."""
    jobs = start(store, 3, canary=1)
    retry(store, take(store))
    run(store, jobs[0], "failed")

    assert take(store) == []

    stopped = replay(store)
    assert (stopped.state, stopped.replayed) == ("stopped", 1)
    assert jobs[0] in stopped.reason
    assert "failed" in stopped.reason
    assert [state(store, each) for each in jobs[1:]] == ["failed", "failed"]


def test_a_canary_whose_scheduler_died_is_taken_again(store):
    """Not another one in its place."""
    jobs = start(store, 3, canary=1)
    take(store, lease_ms=1)

    assert jobs[:1] == poll(lambda: take(store))


def test_a_stopped_replay_brings_nothing_back(store):
    """Not even what a scheduler had taken."""
    jobs = start(store, 2)
    taken = take(store)

    store.stop_replay("r")

    assert retry(store, taken) == []
    assert (replay(store).state, replay(store).replayed) == ("stopped", 0)
    assert {state(store, each) for each in jobs} == {"failed"}
    assert take(store) == []


def test_a_job_that_went_its_own_way_is_skipped(store):
    """It was retried by hand, and runs."""
    jobs = start(store, 1)
    taken = take(store)
    rows = [RetryRequest(each, 1, new_job(each).body) for each in jobs]
    store.retry(rows)

    assert retry(store, taken) == ["too_late"]

    take(store)
    assert (
        replay(store).state,
        replay(store).replayed,
        replay(store).skipped,
    ) == ("completed", 0, 1)


def test_a_replay_of_nothing_is_complete(store):
    """At once."""
    start(store, 0, canary=1)

    take(store)

    assert replay(store).state == "completed"


def test_a_replay_that_nobody_knows(store):
    """There is none, and stopping it makes none."""
    store.stop_replay("nobody")

    assert store.replays(["nobody"]) == []
