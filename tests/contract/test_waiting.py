"""What `take_due` promises: each due job once, in time, whoever asks."""

import time
from concurrent.futures import ThreadPoolExecutor

from taskyard.store.jobs import Ready
from tests.contract.jobs import HOUR_MS, counts, new_job, outbox, pending, running, settle, state
from tests.polling import poll


def test_nothing_is_due_in_an_empty_store(store):
    """And nothing will be."""
    assert store.take_due(10) == ([], None)


def test_a_job_is_handed_out_when_it_is_due(store):
    """It becomes pending and, until it is published, is in the outbox."""
    job = new_job("a", delay_ms=100, args=[1])
    store.create([job])
    early, next_due_ms = store.take_due(10)
    assert (early, next_due_ms is not None and 0 <= next_due_ms <= 100) == ([], True)

    (ready,) = poll(lambda: store.take_due(10)[0])

    assert ("a", "default", job.body, 1) == (ready.id, ready.queue, ready.body, ready.attempt)
    assert 0 <= ready.now_ms - ready.due_at_ms < 60_000
    assert (state(store, "a"), outbox(store)) == ("pending", {"a"})
    assert store.take_due(10) == ([], None)
    assert counts(store) == {"default": {"pending": 1}}


def test_no_job_is_handed_out_early(store):
    """The store's clock is the clock: `now_ms` is never before `due_at_ms`."""
    store.create([new_job(delay_ms=number) for number in range(1, 200, 3)])
    taken = []

    def take():
        ready, next_due_ms = store.take_due(1000)
        taken.extend(ready)
        return next_due_ms is None

    poll(take)
    assert len(taken) == 67
    assert all(ready.now_ms >= ready.due_at_ms for ready in taken)


def test_due_jobs_come_in_the_order_of_their_times_and_in_parts(store):
    """The longest due first, at most `limit` in a call; `next_due_ms` is 0 while more is due."""
    ids = [f"job-{number}" for number in range(5)]
    store.create([new_job(job_id, delay_ms=10 * n + 1) for n, job_id in enumerate(ids)])
    poll(lambda: now_ms(store) > store.get([ids[-1]])[0].run_at)

    parts = [store.take_due(2) for _ in range(3)]

    assert [[ready.id for ready in part] for part, _ in parts] == [ids[:2], ids[2:4], ids[4:]]
    assert [next_due_ms for _, next_due_ms in parts] == [0, 0, None]


def get_next(store):
    return store.take_due(0)[1]


def now_ms(store) -> int:
    """Return the time by the store's clock, as the newest of its records tells it."""
    (job,) = store.get([pending(store)])
    return int(job.created_at)


def test_eight_schedulers_take_each_job_once(new_store):
    """Nothing is taken twice and nothing is left."""
    store = new_store()
    jobs = [new_job(delay_ms=1) for _ in range(2000)]
    store.create(jobs)
    poll(lambda: get_next(store) == 0)

    def take_all(_):
        mine, other = new_store(), []
        while True:
            ready, next_due_ms = mine.take_due(50)
            other += [job.id for job in ready]
            if next_due_ms is None:
                return other

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for part in pool.map(take_all, range(8)) for job_id in part]

    assert (2000, {job.id for job in jobs}) == (len(taken), set(taken))
    assert counts(store) == {"default": {"pending": 2000}}


def test_a_retry_comes_with_its_attempt(store):
    """The message of the next attempt has the next number."""
    job_id, token = running(store)
    settle(store, job_id, token, "retrying", delay_ms=1)

    (ready,) = poll(lambda: store.take_due(10)[0])

    assert (ready.id, ready.attempt) == (job_id, 2)


def test_a_withdrawn_or_cancelled_job_is_never_due(store):
    """Both leave the list of those that wait."""
    withdrawn, cancelled = pending(store, delay_ms=HOUR_MS), pending(store, delay_ms=HOUR_MS)

    store.withdraw([withdrawn])
    store.cancel([cancelled], HOUR_MS)

    assert store.take_due(10) == ([], None)


def test_times_far_away_keep_their_milliseconds(store):
    """Large numbers are not rounded on their way through the store."""
    far_ms = 7_258_118_399_999  # 2199

    store.create([new_job("a", run_at_ms=far_ms)])

    (job,) = store.get(["a"])
    assert job.run_at == far_ms
    next_due_ms = get_next(store)
    assert next_due_ms is not None
    assert abs(job.created_at + next_due_ms - far_ms) < 60_000


def test_who_dispatches_is_woken_by_a_job_that_is_due_before_all_others(store, new_store):
    """So it can sleep until the first is due, however jobs come and go."""
    pending(store, delay_ms=HOUR_MS)
    job_id, token = running(store)
    dispatcher = new_store()
    dispatcher.await_work("due_jobs", 0.01)  # listens from here on
    began = time.monotonic()

    pending(store, delay_ms=HOUR_MS // 2)
    dispatcher.await_work("due_jobs", 60)
    settle(store, job_id, token, "retrying", delay_ms=HOUR_MS // 4)
    dispatcher.await_work("due_jobs", 60)

    assert time.monotonic() - began < 60


def test_what_is_handed_over_takes_some_megabytes_at_most(store):
    """A call that gave out very much would keep the store from all others; the rest is for the next."""
    ids = [f"job-{number:02}" for number in range(40)]
    store.create([new_job(job_id, args=["x" * 250_000], delay_ms=1) for job_id in ids])
    taken: list[list[Ready]] = []

    def have_come() -> bool:
        taken.append(store.take_due(500)[0])
        return sum(map(len, taken)) == len(ids)

    poll(have_come)
    again = [store.unpublished(0, 500) for _ in range(5)]

    assert sorted(job.id for some in taken for job in some) == ids
    assert {job.id for some in again for job in some} == {*ids}
    for some in (*taken, *again):
        assert sum(len(job.body) for job in some) < 4_500_000
