"""Replays whose schedulers are killed half-way: each job completes once, and nothing is left behind."""

from functools import partial

import pytest

from taskyard.message import new_id
from taskyard.store.dead_letters import DeadLetterFilter
from taskyard.store.replays import NewReplay
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import Yard, kill


@pytest.fixture
def yard(make_yard):
    return make_yard(WORKER_THREADS="4")


def bury_many(yard: Yard, count: int, gate: str) -> list[str]:
    """Return jobs that failed, and complete once the gate is open."""
    ids = yard.submit_many(tasks.fail_until, count, gate, max_retries=0)
    poll(lambda: yard.states(ids)["failed"] == count)
    return ids


def start_replay(yard: Yard, **fields) -> str:
    """Start a replay of all dead letters; return its id."""
    replay_id, cursor = new_id(), None
    while True:
        found, cursor = yard.store.find_dead(DeadLetterFilter(), 500, cursor)
        yard.store.add_to_replay(replay_id, found)
        if cursor is None:
            break
    yard.store.start_replay(NewReplay(id=replay_id, request="{}", **fields))
    return replay_id


def nothing_is_left(yard: Yard) -> bool:
    """Whether index, removals and dead-letter queue are empty."""
    counts, gone = yard.store.dead_counts()
    return not any(counts.values()) and not any(gone.values()) and not yard.dead_messages()


def check(yard: Yard, ids: list[str], replay_id: str) -> None:
    """Check that all completed once, and that no trace of a dead letter is left."""
    poll(lambda: yard.states(ids)["completed"] == len(ids), 40)
    poll(lambda: yard.store.replays([replay_id])[0].state == "completed")
    poll(lambda: nothing_is_left(yard))
    done = [event.job_id for event in yard.events("done")]
    assert sorted(ids) == sorted(each for each in done if each in set(ids))
    assert len(ids) == yard.store.replays([replay_id])[0].replayed
    jobs = yard.store.get(ids)
    assert {tuple(a.outcome for a in job.attempts) for job in jobs if job} == {
        ("failed", "completed")
    }
    assert yard.ready_messages() == 0


def test_a_killed_scheduler_leaves_no_job_half_replayed(yard):
    """Killed again and again while it replays some hundred jobs, each time at another point."""
    count, gate = 400, yard.new_gate()
    with yard.running(yard.worker()):
        ids = bury_many(yard, count, gate)
        assert yard.dead_messages() == count
        yard.open(gate)
        replay_id = start_replay(yard, rate_per_s=150)

        kills = 0
        while yard.store.replays([replay_id])[0].state == "running" and kills < 6:
            scheduler = yard.scheduler()
            with yard.running(scheduler):
                before = yard.store.replays([replay_id])[0].replayed
                # Another point of the pass each time.
                poll(partial(moved, yard, replay_id, before + 20 + 7 * kills))
                kill(scheduler.pid)
            kills += 1
        assert kills >= 3

        with yard.running(yard.scheduler()):
            check(yard, ids, replay_id)


def moved(yard: Yard, replay_id: str, count: int) -> bool:
    """Whether so many were replayed, or all."""
    replay = yard.store.replays([replay_id])[0]
    return replay.replayed >= min(count, replay.total)


def test_a_scheduler_killed_while_it_walks_loses_no_dead_letter(yard):
    """Those that stay are in their queue again, those that had to go are gone."""
    count, gate = 300, yard.new_gate()
    with yard.running(yard.worker()):
        ids = bury_many(yard, count, gate)
        purged = yard.store.purge_dead(ids[: count // 2])
        for _ in range(3):
            scheduler = yard.scheduler()
            with yard.running(scheduler):
                poll(lambda: yard.dead_messages() < count)
                kill(scheduler.pid)

        with yard.running(yard.scheduler()):
            poll(lambda: yard.dead_messages() == count - len(purged))
            assert count - len(purged) == sum(yard.store.dead_counts()[0].values())
            yard.open(gate)
            replay_id = start_replay(yard)
            check(yard, ids[count // 2 :], replay_id)


def test_many_schedulers_replay_each_job_once(yard):
    """Three at once, with a canary."""
    count, gate = 200, yard.new_gate()
    with yard.running(yard.worker()):
        ids = bury_many(yard, count, gate)
        yard.open(gate)
        replay_id = start_replay(yard, canary=5)
        with yard.running(*(yard.scheduler() for _ in range(3))):
            check(yard, ids, replay_id)


def test_dead_letters_are_indexed_again_when_the_store_was_emptied(yard):
    """RabbitMQ has them whole: they are listed, and their jobs run."""
    gate = yard.new_gate()
    with yard.running(yard.worker()):
        ids = bury_many(yard, 20, gate)
        yard.publish(b"no job", message_id="x")
        poll(lambda: yard.dead_messages() == 21)
        yard.empty_store()
        yard.open(gate)

        with yard.running(yard.scheduler()):
            poll(lambda: sum(yard.store.dead_counts()[0].values()) == 21)
            found, _ = yard.store.find_dead(DeadLetterFilter(jobs_only=True), 100)
            assert sorted(ids) == sorted(each for each, _ in found)
            replay_id = start_replay(yard)
            poll(lambda: yard.states(ids)["completed"] == 20)
            assert (
                yard.store.replays([replay_id])[0].replayed,
                yard.store.replays([replay_id])[0].skipped,
            ) == (20, 1)
            poll(lambda: yard.dead_messages() == 1)
