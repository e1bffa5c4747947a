"""The queue between engine and slots: nothing is lost, nobody oversleeps, few are woken."""

import threading
import time
from queue import Empty

import pytest

from services.worker.dramatiq_bridge.work_queue import WorkQueue
from tests.polling import poll
from tests.unit.worker.doubles import attempt


class Takers:
    """Threads that take from a queue as Dramatiq's do."""

    def __init__(self, queue, count, work=lambda each: None):
        self.taken = []
        self.empty = 0
        self._queue = queue
        self._work = work
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self):
        while not self._is_over.is_set():
            try:
                item = self._queue.get(timeout=0.2)
            except Empty:
                self.empty += 1
                continue
            self._work(item.message)
            self.taken.append(item.message)
            self._queue.task_done()


def test_attempts_come_in_their_order():
    """First in, first out."""
    queue = WorkQueue()
    attempts = [attempt() for _ in range(10)]

    queue.put(attempts[:5])
    queue.put(attempts[5:])

    assert len(queue) == 10
    assert [each.id for each in attempts] == [queue.get(0).message.id for _ in range(10)]


def test_an_empty_queue_says_so_after_the_timeout():
    """Not before."""
    began = time.monotonic()
    with pytest.raises(Empty):
        WorkQueue().get(timeout=0.05)
    assert time.monotonic() - began >= 0.05


def test_a_sleeper_is_woken_at_once():
    """Long before its timeout."""
    queue, woken = WorkQueue(), []

    def sleeper():
        woken.append((queue.get(timeout=30).message, time.monotonic()))

    thread = threading.Thread(target=sleeper)
    thread.start()
    poll(lambda: queue.idle)
    put_at = time.monotonic()
    queue.put([attempt()])
    thread.join(30)

    assert woken[0][1] - put_at < 15


def test_one_batch_wakes_one_thread_and_spread_the_others():
    """So tiny jobs cost one wake-up, and long ones still run side by side."""
    queue, gate = WorkQueue(), threading.Event()
    running = []

    def work(each):
        running.append(each)
        gate.wait(30)

    with Takers(queue, 4, work):
        poll(lambda: queue.idle == 4)
        queue.put([attempt() for _ in range(4)])
        poll(lambda: running)
        assert len(running) == 1

        queue.spread()
        poll(lambda: len(running) == 4)
        gate.set()


def test_spread_of_nothing_wakes_nobody():
    """Nor more threads than there is work."""
    queue = WorkQueue()
    with Takers(queue, 4) as takers:
        poll(lambda: queue.idle == 4)
        before = takers.empty
        queue.spread()
        queue.put([])
        assert takers.empty - before <= 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_no_wake_up_is_lost(threads):
    """Twenty thousand attempts in batches of any size, with and without pauses between them."""
    queue = WorkQueue()
    batches = [[attempt() for _ in range(1 + n % 7)] for n in range(3_000)]
    total = sum(map(len, batches))

    with Takers(queue, threads) as takers:
        for n, batch in enumerate(batches):
            queue.put(batch)
            if n % 3 == 0:
                queue.spread()
            if n % 50 == 0:
                poll(lambda: not len(queue))
        queue.spread()
        poll(lambda: len(takers.taken) == total)

    assert len({each.id for each in takers.taken}) == total


def test_a_wake_up_at_the_very_end_of_a_sleep_is_not_lost():
    """Timeouts of a millisecond race with the bell, again and again."""
    queue, taken, is_over = WorkQueue(), [], threading.Event()

    def taker():
        while not is_over.is_set():
            try:
                taken.append(queue.get(timeout=0.001).message)
            except Empty:
                continue

    threads = [threading.Thread(target=taker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(1_500):
        queue.put([attempt()])
        if n % 5 == 0:
            time.sleep(0.001)  # about when the sleepers give up
    poll(lambda: len(taken) == 1_500)
    is_over.set()
    for thread in threads:
        thread.join(30)
    assert queue.idle == 0
