"""Interrupts land inside the task and nowhere else, however they race with its end."""

import random
import sys
import threading
import time
from functools import partial

import pytest
from dramatiq.threading import Interrupt

from services.worker.attempts.outcome import type_name
from services.worker.dramatiq_bridge import interrupts
from taskyard.errors import JobCancelled, JobInterrupt, JobLost, JobTimeout, WorkerStopping
from tests.polling import poll
from tests.unit.worker.doubles import attempt, noticing_swallowed

REASONS = [JobTimeout, JobCancelled, JobLost, WorkerStopping]


def spin(running: threading.Event) -> None:
    """Run Python code until something is raised in it."""
    running.set()
    while True:
        time.sleep(0)


@pytest.mark.parametrize("reason", REASONS)
def test_the_users_except_sees_an_interrupt(reason):
    """By taskyard's own name, and as an interrupt of Dramatiq's, which stops coroutines."""
    made, running, caught = attempt(), threading.Event(), []

    def task():
        made.enter()
        try:
            spin(running)
        except reason as interrupt:
            caught.append(interrupt)
        finally:
            made.leave()

    thread = threading.Thread(target=task)
    thread.start()
    running.wait()
    made.interrupt(reason)
    thread.join(30)

    assert type_name(caught[0]) == reason.__name__  # as records and logs tell it
    assert isinstance(caught[0], Interrupt)
    assert not isinstance(caught[0], Exception)  # `except Exception` lets it pass


@pytest.mark.parametrize("reason", REASONS)
def test_an_interrupt_before_the_start_is_raised_at_the_start(reason):
    """The task does not run at all."""
    made = attempt()
    made.interrupt(reason)

    with pytest.raises(reason):
        made.enter()
    made.leave()


def test_an_interrupt_after_the_end_is_dropped():
    """The thread runs another job by then."""
    made = attempt()
    made.enter()
    made.leave()

    made.interrupt(JobTimeout)

    for _ in range(1_000):
        time.sleep(0)


def test_only_the_first_interrupt_counts():
    """A task that cleans up after one is not hit by the next."""
    made, running, caught = attempt(), threading.Event(), []
    clean = threading.Event()

    def task():
        made.enter()
        try:
            spin(running)
        except JobInterrupt as interrupt:
            caught.append(interrupt)
            running.clear()
            made.interrupt(JobTimeout)
            while not clean.is_set():
                time.sleep(0)
        finally:
            made.leave()

    thread = threading.Thread(target=task)
    thread.start()
    running.wait()
    made.interrupt(JobCancelled)
    poll(lambda: caught)
    clean.set()
    thread.join(30)

    assert [type(each).__name__ for each in caught] == ["JobCancelled"]


@pytest.fixture
def _hectic(monkeypatch):
    """Threads take turns often, above all between the decision to interrupt and the interrupt."""
    usual, set_exception = sys.getswitchinterval(), interrupts.set_async_exception

    def set_late(thread_id, exception):
        if exception is not None:
            time.sleep(0.00001)
        set_exception(thread_id, exception)

    monkeypatch.setattr(interrupts, "set_async_exception", set_late)
    sys.setswitchinterval(1e-6)
    with noticing_swallowed():
        yield
    sys.setswitchinterval(usual)


class Race:
    """A slot that runs attempts one after the other, and a thread that interrupts the current one."""

    def __init__(self, count):
        self.attempts = [attempt() for _ in range(count)]
        self.current = self.attempts[0]
        self.seen: list[str] = []
        self.strays: list[BaseException] = []
        self._chance = random.Random(1)
        self._is_over = threading.Event()

    def run(self):
        threads = [threading.Thread(target=each) for each in (self._slot, self._interrupter)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    def _slot(self):
        try:
            for made in self.attempts:
                self.current = made
                self._run(made)
        except JobTimeout as stray:
            self.strays.append(stray)
        finally:
            self._is_over.set()

    def _run(self, made):
        try:
            try:
                made.enter()
                self._compute(8_000)
            finally:
                made.leave()
        except JobTimeout:
            self.seen.append(made.id)  # as Dramatiq's thread catches what a task raises
        self._compute(200)  # the slot's own code, which nothing may interrupt

    def _compute(self, most):
        for _ in range(self._chance.randrange(most)):
            pass

    def _interrupter(self):
        while not self._is_over.is_set():
            self.current.interrupt(JobTimeout)
            self.current.raise_again()


class LossyRace(Race):
    """One whose tasks are in a destructor most of the time, where interrupts are lost."""

    def _compute(self, most):
        for _ in range(20):
            Destructor(partial(super()._compute, most // 5))


class Destructor:
    """Does something when it goes, unless an interrupt came before it knew what."""

    _do = staticmethod(lambda: None)

    def __init__(self, do):
        self._do = do

    def __del__(self):
        self._do()


@pytest.mark.usefixtures("_hectic")
@pytest.mark.parametrize(("kind", "count"), [(Race, 10_000), (LossyRace, 2_000)])
def test_interrupts_that_race_with_ends_never_leave_the_task(kind, count):
    """Thousands of times: each is seen by its own task or by nobody, and the slot goes on."""
    race = kind(count)

    race.run()

    assert race.strays == []
    assert len(race.seen) == len(set(race.seen))
    assert 0 < len(race.seen) < count, "the race was none"


def test_an_interrupt_that_comes_as_the_task_ends_is_taken_back(monkeypatch):
    """It was on its way when the task returned: the result stands, and nothing is raised later."""
    made, running, decided = attempt(), threading.Event(), threading.Event()
    set_exception = interrupts.set_async_exception
    ended: list[str] = []

    def set_late(thread_id, exception):
        if exception is not None:
            decided.set()
            poll(lambda: ended)
        set_exception(thread_id, exception)

    def task():
        made.enter()
        running.set()
        decided.wait(30)
        ended.append("returned")
        made.leave()  # waits for the one who interrupts
        for _ in range(1_000):
            pass
        ended.append("went on")

    monkeypatch.setattr(interrupts, "set_async_exception", set_late)
    thread = threading.Thread(target=task)
    thread.start()
    running.wait(30)
    made.interrupt(JobTimeout)
    thread.join(30)

    assert ended == ["returned", "went on"]


def test_many_interrupters_hit_a_task_once():
    """Time limit, cancellation and a lost lease at the same moment."""
    for _ in range(200):
        made, running = attempt(), threading.Event()
        caught: list[BaseException] = []

        def task(made=made, running=running, caught=caught):
            try:
                made.enter()
                spin(running)
            except JobInterrupt as interrupt:
                caught.append(interrupt)
                for _ in range(100):
                    time.sleep(0)
            finally:
                made.leave()

        thread = threading.Thread(target=task)
        thread.start()
        running.wait()
        others = [threading.Thread(target=made.interrupt, args=(reason,)) for reason in REASONS]
        for other in others:
            other.start()
        for other in [*others, thread]:
            other.join(30)
        assert len(caught) == 1


# Who decides the outcome


def test_the_outcome_is_decided_once():
    """By the task's end or by whoever gave up on it."""
    made = attempt()

    assert made.end()
    assert not made.end()
    assert not made.end_unstarted()


def test_what_a_slot_has_taken_is_not_handed_back():
    """Only an attempt that still waits is."""
    made = attempt()
    made.enter()

    assert not made.end_unstarted()
    made.leave()
    assert made.end()


def test_what_was_handed_back_does_not_start():
    """The slot that takes it late finds out before it runs the task."""
    made = attempt()
    assert made.end_unstarted()

    with pytest.raises(WorkerStopping):
        made.enter()
    made.leave()
    assert not made.end()


def test_start_and_hand_back_exclude_each_other():
    """Whichever thread is first."""
    for _ in range(500):
        made, start = attempt(), threading.Barrier(2)
        handed_back: list[bool] = []
        ran: list[bool] = []

        def take(made=made, start=start, ran=ran):
            start.wait()
            try:
                made.enter()
                ran.append(True)
            except WorkerStopping:
                ran.append(False)
            finally:
                made.leave()

        def give_back(made=made, start=start, handed_back=handed_back):
            start.wait()
            handed_back.append(made.end_unstarted())

        threads = [threading.Thread(target=take), threading.Thread(target=give_back)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert ran != handed_back


# Times


def test_a_waiting_attempt_is_not_over_and_a_running_one_does_not_wait():
    """Limits begin with the task."""
    made = attempt()
    poll(lambda: made.waits_for_slot(0.01))
    assert not made.is_over(0)

    made.enter()
    poll(lambda: made.is_over(0.01))
    assert not made.waits_for_slot(0)
    assert not made.is_over(60)

    made.leave()
    assert not made.is_over(0)
    assert 0.01 < made.ran_s < 5


def test_an_attempt_that_is_given_up_has_run_so_far():
    """Its log line and the measured time of jobs tell how long it took, not zero."""
    given_up = attempt()

    given_up.enter()
    given_up.end()

    assert given_up.ran_s > 0
    given_up.leave()
