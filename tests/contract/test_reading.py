"""What can be read: jobs, the end of a job, counts, the catalogue; and values of every shape."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from taskyard.errors import StoreUnavailable
from taskyard.store.attempts import Claim, Outcome
from taskyard.store.controls import Limits
from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    claim,
    counts,
    get,
    heartbeat,
    new_job,
    outbox,
    pending,
    result,
    running,
    settle,
)
from tests.polling import poll


def test_get_answers_in_the_order_of_the_ids(store):
    """None where there is no such job."""
    store.create([new_job("a"), new_job("b")])

    assert [job and job.id for job in store.get(["b", "unheard-of", "a"])] == ["b", None, "a"]


def test_waiting_for_an_unknown_job_gives_none_at_once(store):
    """There is nothing to wait for."""
    assert store.wait("unheard-of", 60) is None


def test_waiting_for_an_ended_job_gives_it_at_once(store):
    """It need not end again."""
    job_id, token = running(store)
    settle(store, job_id, token)

    assert store.wait(job_id, 60).state == "completed"


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_a_wait_ends_with_its_timeout(store, timeout_s):
    """Then the job comes as it is."""
    job_id = pending(store)
    started = time.monotonic()

    assert store.wait(job_id, timeout_s).state == "pending"
    assert timeout_s <= time.monotonic() - started < timeout_s + 30


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "expired"])
def test_whoever_waits_wakes_at_once(new_store, end):
    """However the job ends, twenty that wait in other processes know it within a moment."""
    store = new_store()
    job_id = pending(store, created_at_ms=1)
    heartbeat(store)

    def wait(_):
        job = new_store().wait(job_id, 30)
        return job.state, time.monotonic()

    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(wait, number) for number in range(20)]
        # Those that come too late find it ended, which must be as quick.
        poll(lambda: all(future.running() for future in waiting))
        store.wait(job_id, 0.3)
        if end == "cancelled":
            store.cancel([job_id], HOUR_MS)
        elif end == "expired":
            claim(store, job_id, expires_ms=1)
        else:
            settle(store, job_id, claim(store, job_id).token, end)
        ended = time.monotonic()
        answers = [future.result() for future in waiting]

    assert {state for state, _ in answers} == {end}
    assert max(woken for _, woken in answers) - ended < 1.5  # waits look by themselves after 2 s


def test_a_long_wait_goes_on_past_the_deadline_of_one_answer(new_store):
    """`store_timeout_s` is about the store's answers, not about the job."""
    store = new_store(store_timeout_s=0.1)
    job_id = pending(store)

    assert store.wait(job_id, 0.5).state == "pending"


def test_counts_tell_the_age_of_the_oldest_ready_job(store):
    """Whether a worker has told of the queue or not."""
    store.declare([], ["declared"])
    store.create([new_job(queue="told-by-none"), new_job(queue="waits", delay_ms=HOUR_MS)])

    rows = {row.queue: row for row in store.counts()}

    assert set(rows) == {"declared", "told-by-none", "waits"}
    assert (rows["declared"].states, rows["declared"].oldest_pending_s) == ({}, None)
    age_s = rows["told-by-none"].oldest_pending_s
    assert age_s is not None
    assert 0 <= age_s < 60
    assert rows["waits"].oldest_pending_s is None


def test_the_oldest_is_the_oldest_of_those_that_are_pending(store):
    """A job that started no longer counts."""
    job_id = pending(store)
    heartbeat(store)
    claim(store, job_id)

    assert [row.oldest_pending_s for row in store.counts()] == [None]


def test_the_catalogue_keeps_the_last_word_on_each_task(store):
    """By name; what is told anew of a task replaces what was told before."""
    store.declare([{"name": "b", "n": 1}, {"name": "a", "deep": [{"x": None}]}], ["q2", "q1"])
    store.declare([{"name": "b", "n": 2}], ["q1"])

    assert store.tasks() == [{"name": "a", "deep": [{"x": None}]}, {"name": "b", "n": 2}]
    assert store.queues() == ["q1", "q2"]


def test_the_latest_deploy_has_the_last_word(store):
    """Old workers that go on telling what they know overwrite neither its task nor its limits."""
    old, new = ({"name": "a", "deploy": n} for n in (1, 2))
    few, many = Limits(concurrency=1), Limits(concurrency=9)
    store.declare([old], [], {"a": few})

    for _ in range(3):
        store.declare([new], [], {"a": many})
        store.declare([old], [], {"a": few})
        assert (store.tasks(), store.limits()) == ([new], {"a": many})


def test_a_task_that_the_latest_deploy_does_not_know_stays_the_old_ones(store):
    """Each task for itself."""
    store.declare([{"name": "a", "deploy": 1}, {"name": "b", "deploy": 1}], [])
    store.declare([{"name": "a", "deploy": 2}], [])
    store.declare([{"name": "a", "deploy": 1}, {"name": "b", "deploy": 1}], [])

    assert store.tasks() == [{"name": "a", "deploy": 2}, {"name": "b", "deploy": 1}]


def test_a_deploy_that_is_taken_back_gives_way(store):
    """When its workers are gone, what the old ones tell holds again."""
    old, new = ({"name": "a", "deploy": n} for n in (1, 2))
    few, many = Limits(concurrency=1), Limits(concurrency=9)
    store.declare([old], [], {"a": few})
    store.declare([new], [], {"a": many})

    def is_old() -> bool:
        store.declare([old], [], {"a": few}, lapse_s=0.05)
        return store.tasks() == [old]

    poll(is_old)
    assert store.limits() == {"a": few}
    store.declare([new], [], {"a": many})
    assert (store.tasks(), store.limits()) == ([new], {"a": many})


def test_what_an_operator_sets_outlives_every_deploy(store):
    """Until it is taken back: then that of the latest holds."""
    store.declare([{"name": "a", "deploy": 1}], [], {"a": Limits(concurrency=1)})
    store.set_limits("a", Limits(concurrency=5))

    store.declare([{"name": "a", "deploy": 2}], [], {"a": Limits(concurrency=2)})
    assert store.limits() == {"a": Limits(concurrency=5)}
    store.set_limits("a", None)
    assert store.limits() == {"a": Limits(concurrency=2)}


ARGUMENTS = [
    "",
    "ä€😀\u0000\u2028",
    "|" * 100,
    {},
    [],
    [[]],
    {"": {}},
    [None, True, False],
    [0, -1, 2**53 + 1, 2**63 - 1, 1e300, 0.1],
    {"nested": [[{"a": [[[]]]}]]},
]


@pytest.mark.parametrize("value", ARGUMENTS, ids=repr)
def test_values_come_back_as_they_went_in(store, value):
    """Arguments, results and notes are not interpreted on their way."""
    job_id, token = running(store, args=[value], kwargs={"ä.b": value})
    settle(store, job_id, token, result=msgspec.json.encode(value).decode())

    job = get(store, job_id)

    assert (job.message.args, job.message.kwargs) == ([value], {"ä.b": value})
    assert msgspec.json.encode(value) == result(store, job_id)


def test_a_null_result_is_not_no_result(store):
    """`null` is what the task returned."""
    job_id, token = running(store)
    settle(store, job_id, token, result="null")

    assert result(store, job_id) == b"null"


@pytest.mark.parametrize(
    "job_id", ["a", "0", "1e5", "-", ":::", "..", "a" * 128, "00123", "j:ended"]
)
def test_strange_ids_are_ids_like_any_other(store, job_id):
    """Also those that look like numbers or like the store's own names."""
    heartbeat(store)
    store.create([new_job(job_id)])

    assert store.unpublished(0, 10)[0].id == job_id
    token = claim(store, job_id).token
    store.cancel([job_id], HOUR_MS)
    beat = store.heartbeat("w1", {}, HOUR_MS, [(job_id, token)])
    assert (beat.cancelled, beat.lost) == ([job_id], [])
    assert settle(store, job_id, token)
    assert get(store, job_id).state == "completed"


@pytest.mark.parametrize("queue", ["a|b", "ä", "running", "x|pending|y", "q.dead", "100"])
def test_strange_queue_names_are_counted_right(store, queue):
    """A foreign publisher may call its queue anything."""
    running(store, queue=queue)
    pending(store, queue=queue)

    assert counts(store) == {queue: {"running": 1, "pending": 1}}


def test_large_arguments_come_back_whole(store):
    """A megabyte is no trouble."""
    text = "ä" * 500_000
    job_id = pending(store, args=[text])

    assert get(store, job_id).message.args == [text]


def test_deep_arguments_come_back_whole(store):
    """Nesting is the caller's business."""
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]

    assert get(store, pending(store, args=[deep])).message.args == [deep]


def test_ten_thousand_jobs_in_each_call(new_store):
    """Batches of any size go through every step of a life, though a server may need seconds for one."""
    store = new_store(store_timeout_s=30)
    jobs = [new_job(f"job-{number}") for number in range(10_000)]
    ids = [job.id for job in jobs]
    heartbeat(store)

    assert all(created.is_new for created in store.create(jobs))
    assert len(outbox(store)) == 10_000
    store.mark_published([(job_id, LATER_MS) for job_id in ids])
    verdicts = store.claim("w1", "w1", [Claim(job_id, 1, "default") for job_id in ids])
    tokens = [verdict.token for verdict in verdicts]
    assert len(set(tokens)) == 10_000
    assert store.heartbeat("w1", {}, HOUR_MS, list(zip(ids, tokens, strict=True))).lost == []
    outcomes = [
        Outcome(job_id, token, "completed", result="1")
        for job_id, token in zip(ids, tokens, strict=True)
    ]
    assert all(store.settle(outcomes))
    assert [job.id for job in store.get(ids) if job] == ids
    assert store.prune(10_000) == 10_000
    assert counts(store) == {}


def test_check_finds_nothing_unsafe(store):
    """The tests' own server is safe enough to be used, or what it lacks is told in sentences."""
    assert all(isinstance(sentence, str) for sentence in store.check())
    store.ping()


CALLS = {
    "create": lambda store: store.create([new_job("a")]),
    "claim": lambda store: claim(store, "a"),
    "settle": lambda store: settle(store, "a", 1),
    "heartbeat": lambda store: heartbeat(store),
    "take_due": lambda store: store.take_due(1),
    "unpublished": lambda store: store.unpublished(0, 1),
    "lost": lambda store: store.lost("r1", 1, 1),
    "get": lambda store: store.get(["a"]),
    "wait": lambda store: store.wait("a", 30),
    "cancel": lambda store: store.cancel(["a"], 1),
    "prune": lambda store: store.prune(1),
    "counts": lambda store: store.counts(),
    "workers": lambda store: store.workers(),
    "declare": lambda store: store.declare([{"name": "a"}], ["a"]),
    "tasks": lambda store: store.tasks(),
    "queues": lambda store: store.queues(),
    "mark_published": lambda store: store.mark_published([("a", 1)]),
    "ping": lambda store: store.ping(),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_store_that_is_away_says_so(new_store, absent_url, call):
    """Every method fails at once, with the one error that callers know."""
    store = new_store(result_backend=absent_url)
    started = time.monotonic()

    with pytest.raises(StoreUnavailable):
        call(store)

    assert time.monotonic() - started < 15


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_store_that_does_not_answer_is_given_up(new_store, silent_url, call):
    """Nothing hangs: a call fails within its deadline."""
    store = new_store(result_backend=silent_url, store_timeout_s=0.2)
    started = time.monotonic()

    with pytest.raises(StoreUnavailable):
        call(store)

    assert time.monotonic() - started < 15


def test_closing_twice_is_fine(store):
    """Also without ever having been used."""
    store.close()
    store.close()
