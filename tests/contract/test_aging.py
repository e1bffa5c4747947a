"""Ageing: which jobs rise by waiting, how far, once, and what is known of the messages they have then."""

import pytest

from tests.contract.jobs import (
    HOUR_MS,
    LATER_MS,
    QUEUE,
    claim,
    get,
    heartbeat,
    new_job,
    pending,
    settle,
    state,
)
from tests.polling import poll

#: A step that is over at once, and one that never is.
SHORT_MS, LONG_MS = 1, HOUR_MS
#: What a worker has in its hands may start before one of a higher priority.
IN_HAND_MS = 2000


def waiting(store, **fields):
    """Record a job whose message the broker has confirmed, and that has waited for some milliseconds."""
    job_id = pending(store, **fields)
    store.mark_published([(job_id, LATER_MS)])
    let_pass(store, job_id, 20)
    return job_id


def let_pass(store, job_id, ms):
    """Wait until a job is so old, by the store's clock."""
    created_at = get(store, job_id).created_at
    poll(lambda: get(store, pending(store, queue="clock")).created_at > created_at + ms)


def age(store, step_ms=SHORT_MS, limit=100):
    return store.age(QUEUE, step_ms, limit)[0]


def copies(store, **options):
    return store.copies(**options).get(QUEUE, 0)


def risen(store, job_id):
    return store.explain(job_id).risen


def raised(store, **fields):
    """Record a job and have it rise to 9, by one copy that the broker has confirmed."""
    job_id = waiting(store, **fields)
    assert [(job.id, job.raised_to) for job in age(store)] == [(job_id, 9)]
    store.mark_raised(QUEUE, SHORT_MS, [job_id])
    return job_id


def test_a_job_rises_by_what_it_has_waited(store):
    """By one for each step, from its own priority; the message that is to be published says all else."""
    job_id = waiting(store, priority=2)

    (ready,) = age(store, 9)

    now = risen(store, job_id)
    assert (ready.id, ready.queue, ready.attempt) == (job_id, QUEUE, 1)
    assert ready.raised_to == now.priority
    assert ready.raised_to == 2 + min(7, (now.since - ready.due_at_ms) // 9)


def test_nobody_rises_above_nine(store):
    """Who has waited for long is raised there at once; one of the highest priority has no copy."""
    low, _ = waiting(store, priority=0), waiting(store, priority=9)

    assert [(job.id, job.raised_to) for job in age(store)] == [(low, 9)]


def test_who_has_not_waited_for_a_step_stays(store):
    """As it is, without a trace."""
    job_id = waiting(store)

    assert (age(store, LONG_MS), risen(store, job_id)) == ([], None)


def test_a_step_is_given_once(store, new_store):
    """To one of several schedulers: while its copy may yet be confirmed, and after that."""
    job_id = waiting(store)

    found = [each for _ in range(3) for each in (*age(store), *age(new_store()))]
    store.mark_raised(QUEUE, SHORT_MS, [job_id])

    assert [job.id for job in found] == [job_id]
    assert (age(store), copies(store)) == ([], 1)


def test_a_job_rises_again_with_each_step(store):
    """One copy each time, until it has come to the top."""
    job_id = waiting(store, priority=0)
    step_ms = 40
    rises: list[int] = []

    def is_at_the_top():
        found = age(store, step_ms)
        store.mark_raised(QUEUE, step_ms, [job.id for job in found])
        rises.extend(job.raised_to for job in found)
        return rises[-1:] == [9]

    poll(is_at_the_top, pause_s=0.005)
    assert rises == sorted(set(rises))
    assert copies(store) == len(rises)
    assert risen(store, job_id).priority == 9
    assert age(store, step_ms) == []


def test_the_oldest_rise_first_and_only_so_many(store):
    """What is over the limit comes with the next pass."""
    ids = [waiting(store) for _ in range(3)]

    first, is_more = store.age(QUEUE, SHORT_MS, 2)
    last, is_even_more = store.age(QUEUE, SHORT_MS, 2)

    assert [[job.id for job in found] for found in (first, last)] == [ids[:2], ids[2:]]
    assert (is_more, is_even_more) == (True, False)


def test_of_very_many_of_one_moment_none_is_passed_over(store):
    """A batch is recorded in one millisecond."""
    jobs = [new_job() for _ in range(2500)]
    store.create(jobs)
    store.mark_published([(job.id, LATER_MS) for job in jobs])
    found: set[str] = set()

    def are_all():
        found.update(job.id for job in age(store, limit=1000))
        return len(found) == len(jobs)

    assert poll(are_all)


@pytest.mark.parametrize("how", ["paused", "unconfirmed", "running", "cancelled", "scheduled"])
def test_who_does_not_wait_in_its_queue_does_not_rise(store, how):
    """Nor one whose queue is paused."""
    if how == "unconfirmed":
        let_pass(store, pending(store), 20)
    else:
        job_id = waiting(store, **({"delay_ms": HOUR_MS} if how == "scheduled" else {}))
    if how == "paused":
        store.pause("queue", QUEUE, {"by": "test"})
    elif how == "running":
        heartbeat(store)
        claim(store, job_id)
    elif how == "cancelled":
        store.cancel([job_id], HOUR_MS)

    assert (age(store), copies(store)) == ([], 0)


def test_a_job_that_is_retried_starts_anew(store):
    """With its own priority."""
    job_id = raised(store, priority=3)
    heartbeat(store)
    settle(store, job_id, claim(store, job_id).token, "retrying")

    (ready,) = poll(lambda: store.take_due(10)[0])

    assert (ready.attempt, ready.raised_to) == (2, -1)
    assert risen(store, job_id) is None


def test_what_is_published_again_has_what_the_job_has_risen_to(store):
    """By repair, by whoever submits it again, or by the relay."""
    job_id = raised(store)

    (repaired,) = store.republish([job_id])
    (promised,) = store.unconfirmed([job_id])
    (relayed,) = (each for each in store.unpublished(0, 1000) if each.id == job_id)

    assert (repaired.raised_to, promised.raised_to, relayed.raised_to) == (9, 9, 9)


def test_copies_are_counted_until_they_have_come(store):
    """Whichever message comes first starts the attempt; each of the others is one copy less."""
    job_id = raised(store)
    heartbeat(store, "w1")
    heartbeat(store, "w2")
    before = copies(store)
    token = claim(store, job_id).token
    running = copies(store)
    assert claim(store, job_id, owner="w2").kind == "leased"
    leased = copies(store)
    settle(store, job_id, token)

    assert (before, running, leased) == (1, 1, 0)
    assert claim(store, job_id).kind == "duplicate"
    assert copies(store) == 0


def test_a_worker_says_which_message_is_of_no_use(store):
    """One of an attempt that it runs: it must not be taken for the claim of it, asked again."""
    job_id = raised(store)
    heartbeat(store)
    token = claim(store, job_id).token

    assert claim(store, job_id, is_surplus=True).kind == "leased"
    assert (state(store, job_id), copies(store)) == ("running", 0)
    assert settle(store, job_id, token)


def test_copies_of_just_now_are_not_expected_yet(store):
    """Whoever has counted the messages may not have seen them."""
    raised(store)

    assert (copies(store, recent_ms=60_000), copies(store)) == (0, 1)


def test_a_record_outlives_the_copies(store, new_store):
    """A copy whose job is not known any more would run as a new one."""
    short = new_store(result_ttl=1)
    job_id = raised(store)
    heartbeat(store)
    settle(store, job_id, claim(store, job_id).token, ttl_ms=0)

    assert (store.prune(10), store.remove([job_id])[0].verdict) == (0, "too_early")
    assert claim(short, job_id).kind == "duplicate"
    assert poll(lambda: store.prune(10)) == 1


def test_a_worker_that_has_ended_it_knows_the_last_copy(store, new_store):
    """Though the store is told of the end and of the copy by one call."""
    short = new_store(result_ttl=1)
    job_id = raised(store)
    heartbeat(store)
    settle(store, job_id, claim(store, job_id).token, ttl_ms=0)

    assert claim(short, job_id, is_surplus=True).kind == "leased"
    assert poll(lambda: store.prune(10)) == 1


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_so_does_that_of_a_job_that_never_ran(store, new_store, how):
    """Until its message and the copy have come."""
    short = new_store(result_ttl=1)
    job_id = raised(store)
    if how == "cancelled":
        store.cancel([job_id], 0)
        assert claim(short, job_id).kind == "cancelled"
    else:
        assert claim(short, job_id, expires_ms=1).kind == "expired"

    assert store.prune(10) == 0
    assert claim(short, job_id).kind in ("cancelled", "duplicate")
    assert poll(lambda: store.prune(10)) == 1
    assert copies(store) == 0


def test_copies_that_are_gone_are_forgotten(store):
    """As those of a queue that was purged; there are never fewer than none."""
    job_id, _ = raised(store), raised(store)

    store.forget_copies({QUEUE: 1, "unknown": 3})
    assert copies(store) == 1
    store.forget_copies({QUEUE: 5})
    assert copies(store) == 0
    heartbeat(store)
    claim(store, job_id)
    claim(store, job_id, is_surplus=True)
    assert copies(store) == 0


def test_a_job_that_has_risen_comes_before_others(store):
    """Before those that are younger of what it has now, and those of a lower priority."""
    first = waiting(store, priority=9)
    job_id = raised(store, priority=0)
    later, low = waiting(store, priority=9), waiting(store, priority=8)

    ahead = [store.ahead(store.explain(each)).count for each in (first, job_id, later, low)]

    assert ahead == [0, 1, 2, 3]


def test_one_that_has_risen_overtakes_nobody_of_a_higher_priority(store):
    """It may have been the highest of all; another one that starts shows that a message is missing."""
    high = waiting(store, priority=9)
    let_pass(store, high, IN_HAND_MS)
    heartbeat(store)

    claim(store, raised(store, priority=0))
    assert high not in store.oldest_overtaken(QUEUE, 0, 100)
    claim(store, waiting(store, priority=0))
    assert high in store.oldest_overtaken(QUEUE, 0, 100)
