"""The skeleton of every background loop."""

import os
import signal
import threading

import pytest

from taskyard.errors import StoreUnavailable
from taskyard.runtime.lifecycle import Loop, StopRequest, stop_signal
from tests.polling import poll


class Passes:
    """Counts passes; each may raise or answer."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.count = 0

    def __call__(self) -> float | None:
        self.count += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def start():
    loops = []

    def start_one(run_once, **options):
        loops.append(Loop("test", run_once, **options))
        loops[-1].start()
        return loops[-1]

    yield start_one
    for loop in loops:
        loop.stop()


def test_passes_follow_one_another(start):
    """With the interval between."""
    passes = Passes()

    start(passes, interval_s=0.01)

    poll(lambda: passes.count >= 3)


def test_a_pass_can_ask_for_the_next_at_once(start):
    """It says in how many seconds; 0 is now."""
    passes = Passes(0, 0, 0)

    start(passes, interval_s=3600)

    poll(lambda: passes.count == 4)


def test_a_pass_cannot_make_the_pause_longer(start):
    """What it asks for is cut to the interval."""
    passes = Passes(3600, 3600, 3600)

    start(passes, interval_s=0.01)

    poll(lambda: passes.count >= 3)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a bug")])
def test_a_failing_pass_does_not_end_the_loop(start, error, caplog):
    """It is logged, and tried again after a pause; a bug with its traceback, an outage in a line."""
    passes = Passes(error)

    loop = start(passes, interval_s=0.01)

    poll(lambda: passes.count >= 2)
    assert poll(lambda: not loop.is_failing)
    assert [record.exc_info is not None for record in caplog.records] == [
        error.__class__ is ValueError
    ]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("a bug")])
def test_a_failing_wait_for_work_does_not_end_the_loop(start, error):
    """Passes follow all the same, an interval apart."""

    def await_work(_: float) -> None:
        raise error

    passes = Passes()
    start(passes, interval_s=0.01, await_work=await_work)

    poll(lambda: passes.count >= 3)


def test_failures_are_followed_by_longer_pauses():
    """Doubling, never above five seconds, never below the interval."""
    loop = Loop("test", Passes(*[ValueError()] * 9), interval_s=0.5)

    pauses = [loop.pass_once() for _ in range(9)]

    assert pauses == [0.5, 0.5, 0.8, 1.6, 3.2, 5, 5, 5, 5]
    assert loop.is_failing
    assert loop.pass_once() == 0.5


def test_stop_waits_for_the_pass_under_way(start):
    """And is safe twice."""
    entered, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def run_once():
        entered.set()
        may_end.wait(30)
        ended.set()

    loop = start(run_once, interval_s=0)
    entered.wait(30)
    loop.stop(0)
    assert not ended.is_set()
    may_end.set()
    loop.stop()
    loop.stop()

    assert ended.is_set()


def test_stop_without_start_is_fine():
    """Nothing was begun."""
    Loop("test", Passes(), interval_s=1).stop()


def test_a_long_wait_for_work_neither_looks_stuck_nor_holds_up_the_stop(start):
    """It is made of short ones; work ends it early."""
    waits: list[float] = []
    is_work = threading.Event()

    def await_work(timeout_s: float) -> None:
        waits.append(timeout_s)
        is_work.wait(timeout_s)

    passes = Passes()
    loop = start(passes, interval_s=3600, await_work=await_work)

    poll(lambda: len(waits) >= 2)
    assert passes.count == 1
    is_work.set()
    poll(lambda: passes.count >= 2)
    assert max(waits) <= 1
    loop.stop()


def test_a_stuck_pass_shows():
    """The silence grows while a pass does not end."""
    may_end = threading.Event()
    loop = Loop("test", lambda: may_end.wait(30) and None, interval_s=0)
    loop.start()

    poll(lambda: loop.silent_s() > 0.1)
    may_end.set()
    poll(lambda: loop.silent_s() < 0.1)
    loop.stop()


def test_signals_ask_to_stop():
    """SIGTERM and SIGINT alike."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in handlers:
            stopping = stop_signal()
            assert not stopping.is_set()
            os.kill(os.getpid(), number)
            assert stopping.wait(30)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_signal_at_any_moment_of_a_wait_is_heard():
    """Thousands of them, each into the middle of waits that are as short as they can be."""
    asked = StopRequest()
    handler = signal.signal(signal.SIGALRM, lambda *_: asked.set())
    try:
        for _ in range(3_000):
            asked = StopRequest()
            signal.setitimer(signal.ITIMER_REAL, 0.0002)
            while not asked.wait(0.00001):
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)

    assert asked.is_set()


def test_a_wait_whose_time_is_up_before_it_begins_ends():
    """As where the process is held up meanwhile."""
    for _ in range(100_000):
        assert not StopRequest().wait(1e-9)


def test_a_thread_asks_once_and_again():
    """What waits is woken, and what waits later is not kept."""
    asked = StopRequest()
    for delay_s in (0.05, 0.06):
        threading.Timer(delay_s, asked.set).start()

    assert asked.wait(30)
    assert asked.wait()
