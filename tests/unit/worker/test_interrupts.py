"""An interrupt that hits where Python or C code drops exceptions is raised again until the task has it."""

import ctypes
import gc
import io
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import pytest

from services.worker.attempts.watch import Watch
from taskyard import config
from taskyard.errors import JobCancelled, JobInterrupt, JobLost, JobTimeout, WorkerStopping
from tests.polling import poll
from tests.unit.worker.doubles import attempt, noticing_swallowed

REASONS = [JobTimeout, JobCancelled, JobLost, WorkerStopping]


class Running:
    """Stands for the settler: has the attempts that run."""

    def __init__(self, *attempts):
        self._attempts = attempts

    def unsettled(self):
        return list(self._attempts)


def watch_over(*attempts):
    """Return what a worker's child calls every tenth of a second."""
    registry: Any = Running(*attempts)
    unused: Any = None
    return Watch(
        registry,
        unused,
        unused,
        config.load(),
        "owner",
        over=lambda: 0,
        retire=lambda reason: None,
    )


class Slot:
    """A thread that runs a task as an attempt, and who interrupts and watches it."""

    def __init__(self, task):
        self.attempt = attempt()
        self.watch = watch_over(self.attempt)
        self.place = threading.Event()
        self.caught: list[BaseException] = []
        self.cleaning = threading.Event()
        self.is_enough = threading.Event()
        self._task = task
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            try:
                self.attempt.enter()
                self._task(self)
            finally:
                self.attempt.leave()
        except JobInterrupt as interrupt:
            self.caught.append(interrupt)

    def start(self):
        self._thread.start()

    def be_hit(self):
        """Run Python code until something is raised in it; called by the task."""
        self.place.set()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0)

    def clean_up(self):
        """Run Python code for as long as the watch goes on; called by the task."""
        self.cleaning.set()
        while not self.is_enough.is_set():
            time.sleep(0)

    def interrupt(self, reason=JobTimeout):
        assert self.place.wait(30)
        self.attempt.interrupt(reason)

    def end(self):
        """Watch until the task has ended."""
        poll(lambda: self.watch.run_once() or not self._thread.is_alive())


@pytest.fixture(autouse=True)
def _noticing():
    with noticing_swallowed():
        yield


# Places that a handler of the task's cannot reach


def in_destructor(slot):
    class Owner:
        def __del__(self):
            slot.be_hit()

    Owner()


def in_destructor_that_cleans_up(slot):
    class Owner:
        def __del__(self):
            try:
                slot.be_hit()
            finally:
                time.sleep(0)

    Owner()


def in_weakref_callback(slot):
    class Referent:
        pass

    referent = Referent()
    reference = weakref.ref(referent, lambda _: slot.be_hit())
    del referent
    assert reference() is None


def in_collector_callback(slot):
    thread = threading.get_ident()

    def callback(phase, info):
        if phase == "start" and threading.get_ident() == thread:
            slot.be_hit()

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def in_ctypes_callback(slot):
    ctypes.CFUNCTYPE(None)(slot.be_hit)()


def in_generator_that_goes(slot):
    def generate():
        try:
            yield
        finally:
            slot.be_hit()

    next(generate())


class File(io.RawIOBase):
    """One whose destructor calls `close`; its C code clears what that raises (up to Python 3.12)."""

    def __init__(self, slot):
        self._slot = slot

    def close(self):
        self._slot.be_hit()


def in_file_that_goes(slot):
    File(slot)


def in_file_that_goes_while_an_error_is_handled(slot):
    try:
        raise LookupError
    except LookupError:
        File(slot)


PLACES = [
    in_destructor,
    in_destructor_that_cleans_up,
    in_weakref_callback,
    in_collector_callback,
    in_ctypes_callback,
    in_generator_that_goes,
    in_file_that_goes,
    in_file_that_goes_while_an_error_is_handled,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("reason", REASONS)
def test_an_interrupt_that_is_lost_is_raised_again(place, reason):
    """Whatever the reason, wherever it hit: the task gets it in the end."""

    def task(slot):
        place(slot)
        slot.be_hit()

    slot = Slot(task)
    slot.start()

    slot.interrupt(reason)
    slot.end()

    assert [type(each).__name__ for each in slot.caught] == [reason.__name__]


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_may_be_lost_several_times(place):
    """Three times swallowed, it lands at the fourth."""
    passed = []

    def task(slot):
        for _ in range(3):
            place(slot)
            passed.append(place)
        slot.be_hit()

    slot = Slot(task)
    slot.start()

    slot.interrupt()
    slot.end()

    assert (len(passed), len(slot.caught)) == (3, 1)


@pytest.mark.parametrize(
    "place", [in_destructor, in_weakref_callback, in_collector_callback, in_file_that_goes]
)
def test_a_hook_of_the_users_hides_no_loss(place, monkeypatch):
    """A library may replace `sys.unraisablehook` whenever it likes."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)

    def task(slot):
        place(slot)
        slot.be_hit()

    slot = Slot(task)
    slot.start()

    slot.interrupt()
    slot.end()

    assert len(slot.caught) == 1


def test_what_is_not_ours_goes_to_the_hook_that_was_there(monkeypatch):
    """Users go on to hear of errors in their destructors, and never of interrupts that come again."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))

    class Broken:
        def __del__(self):
            raise LookupError

    def task(slot):
        Broken()
        in_destructor(slot)
        slot.be_hit()

    with noticing_swallowed():
        slot = Slot(task)
        slot.start()
        slot.interrupt()
        slot.end()

    assert told == [LookupError]


# Who has it is left alone


def cleans_up_in_the_handler(slot):
    try:
        slot.be_hit()
    except JobInterrupt:
        slot.clean_up()


def cleans_up_after_the_handler(slot):
    with suppress(JobInterrupt):
        slot.be_hit()
    slot.clean_up()


def cleans_up_and_keeps_it(slot):
    try:
        slot.be_hit()
    except JobInterrupt as interrupt:
        kept = interrupt
    slot.clean_up()
    del kept
    slot.clean_up()


def cleans_up_and_makes_another_of_its_class(slot):
    try:
        slot.be_hit()
    except JobInterrupt as interrupt:
        another = type(interrupt)()
    del another
    slot.clean_up()


def cleans_up_in_finally(slot):
    try:
        slot.be_hit()
    finally:
        slot.clean_up()


def cleans_up_in_a_generator(slot):
    def rows():
        try:
            yield 1
        finally:
            slot.clean_up()  # before any handler has the interrupt: Python closes it on the way there

    for _ in rows():
        slot.be_hit()


def cleans_up_after_another_error(slot):
    try:
        try:
            slot.be_hit()
        except JobInterrupt as interrupt:
            raise LookupError from interrupt
        finally:
            time.sleep(0)
    except LookupError:
        pass
    slot.clean_up()


@pytest.mark.parametrize(
    "task",
    [
        cleans_up_in_the_handler,
        cleans_up_after_the_handler,
        cleans_up_and_keeps_it,
        cleans_up_and_makes_another_of_its_class,
        cleans_up_in_finally,
        cleans_up_in_a_generator,
        cleans_up_after_another_error,
    ],
)
@pytest.mark.parametrize("place", [None, in_destructor])
def test_a_task_that_cleans_up_is_not_hit_again(task, place):
    """For as many looks of the watch as it takes, also after one interrupt was lost."""
    ended = []

    def run(slot):
        if place is not None:
            place(slot)
        try:
            task(slot)
        finally:
            ended.append(slot.is_enough.is_set())

    slot = Slot(run)
    slot.start()
    slot.interrupt()
    poll(lambda: slot.watch.run_once() or slot.cleaning.is_set())
    for _ in range(50):
        slot.watch.run_once()
        time.sleep(0)
    slot.is_enough.set()
    slot.end()

    assert ended == [True]
    assert len(slot.caught) <= 1


def test_a_lost_interrupt_does_not_reach_the_next_attempt():
    """The thread has left the attempt before the watch looked."""
    left, watched = threading.Event(), threading.Event()

    def task(slot):
        slot.attempt.leave()
        left.set()
        while not watched.is_set():
            time.sleep(0)
        following.enter()
        for _ in range(10_000):
            pass
        following.leave()
        ended.append("following")

    def run(slot):
        in_destructor(slot)
        task(slot)

    following = attempt()
    ended: list[str] = []
    slot = Slot(run)
    slot.start()
    slot.interrupt()
    assert left.wait(30)
    for _ in range(20):
        slot.watch.run_once()
    watched.set()
    slot.end()

    assert (ended, slot.caught) == (["following"], [])
