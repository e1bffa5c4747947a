"""Group commit: many callers, one write at a time, each with its own results."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskyard.errors import Unavailable
from taskyard.runtime.group_commit import GroupCommit
from tests.polling import poll


class Interrupt(BaseException):
    """What a worker raises inside a running task."""


def double(items: list[int]) -> list[int]:
    """A write that needs no time."""
    return [item * 2 for item in items]


class Writer:
    """Doubles numbers; holds each write until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        assert self.may_go_on.acquire(timeout=30)
        return double(items)


def test_a_single_caller_gets_its_results():
    """In the order of the items."""
    assert list(GroupCommit(double)([1, 2])) == [2, 4]


def test_no_items_are_fine():
    """Also on an idle commit."""
    assert list(GroupCommit(lambda items: items)([])) == []


def test_calls_during_a_write_become_one_batch():
    """While one write is under way the next fills."""
    write = Writer()
    commit = GroupCommit(write)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commit, [1])
        poll(lambda: len(write.batches) == 1)
        others = [pool.submit(commit, [number, number]) for number in (2, 3, 4)]
        poll(lambda: commit.waiting == 3)
        write.may_go_on.release(2)

        assert list(first.result()) == [2]
        assert [list(other.result()) for other in others] == [[4, 4], [6, 6], [8, 8]]
    assert [len(batch) for batch in write.batches] == [1, 6]


def test_a_batch_is_bounded():
    """Calls past the limit wait for the next; one that is larger alone goes alone."""
    write = Writer()
    commit = GroupCommit(write, limit=3)

    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(commit, [0])]
        poll(lambda: len(write.batches) == 1)
        for items in ([1, 1], [2, 2], [3] * 5, [4]):
            calls.append(pool.submit(commit, items))
            poll(lambda: commit.waiting == len(calls) - 1)
        write.may_go_on.release(10)
        for call in calls:
            call.result()

    assert write.batches == [[0], [1, 1], [2, 2], [3] * 5, [4]]


def test_a_caller_that_is_interrupted_does_not_take_the_others_along():
    """A task that is cancelled while it writes for others: they write for themselves."""
    entered, may_go_on = threading.Event(), threading.Event()
    is_first = iter([True])

    def write(items):
        if next(is_first, False):
            entered.set()
            assert may_go_on.wait(30)
            return items
        if 13 in items and len(items) > 1:
            raise Interrupt
        return items

    commit = GroupCommit(write)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commit, [1])
        assert entered.wait(30)
        cancelled = pool.submit(commit, [13])
        poll(lambda: commit.waiting == 1)
        other = pool.submit(commit, [2])
        poll(lambda: commit.waiting == 2)
        may_go_on.set()

        answers: list[object] = []
        for call in (first, cancelled, other):
            try:
                answers.append(list(call.result(10)))
            except Interrupt:
                answers.append("interrupted")
    assert answers[0] == [1]
    assert answers.count("interrupted") == 1
    assert list(commit([3])) == [3]


def test_many_threads_lose_and_mix_nothing():
    """Each gets its own results, whatever the batches were."""
    commit = GroupCommit(double, limit=7)

    def run(seed):
        return all(
            list(commit([seed + n, -seed])) == [2 * (seed + n), -2 * seed] for n in range(200)
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(run, range(16)))


def test_a_call_that_cannot_be_written_fails_alone():
    """Its items are not the fault of those that came at the same time."""

    def write(items: list[int]) -> list[int]:
        if 13 in items:
            raise ValueError("13")
        return gate(items)

    gate = Writer()
    commit = GroupCommit(write)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commit, [1])
        poll(lambda: len(gate.batches) == 1)
        others = [pool.submit(commit, [number]) for number in (2, 13, 4)]
        poll(lambda: commit.waiting == 3)
        gate.may_go_on.release(3)

        assert list(first.result()) == [2]
        assert [list(others[place].result()) for place in (0, 2)] == [[4], [8]]
        with pytest.raises(ValueError, match="13"):
            others[1].result()


def test_what_is_away_is_away_for_all():
    """It is not asked once for each of them."""
    asked: list[list[int]] = []
    gate = threading.Semaphore(0)

    def write(items: list[int]) -> list[int]:
        asked.append(items)
        assert gate.acquire(timeout=30)
        raise Unavailable("away")

    commit = GroupCommit(write)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(commit, [1])]
        poll(lambda: len(asked) == 1)
        calls += [pool.submit(commit, [number]) for number in (2, 3)]
        poll(lambda: commit.waiting == 2)
        gate.release(2)

        for call in calls:
            with pytest.raises(Unavailable):
                call.result()
    assert [len(items) for items in asked] == [1, 2]
