"""A queue that gives nothing of what it has is consumed anew."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.worker.consuming.silence import PATIENCE, Silence


class Channel:
    """Says how many messages wait, if it answers."""

    def __init__(self):
        self.is_open = True
        self.messages = 0
        self.answers = True
        self.asked = 0

    def queue_declare(self, queue, passive, callback):
        assert passive
        self.asked += 1
        if self.answers:
            callback(SimpleNamespace(method=SimpleNamespace(message_count=self.messages)))

    def close(self):
        self.is_open = False


class Connection:
    """Calls back when it is told to, and notes whether it is given up."""

    def __init__(self):
        self.ioloop = self
        self.calls = []
        self.is_aborted = False

    def call_later(self, _seconds, call):
        self.calls.append(call)

    def abort(self, reason):
        self.is_aborted = True


class Queue:
    """One that is looked after."""

    def __init__(self):
        self.deliveries = 0
        self.is_waiting = True
        self.connection = Connection()
        self.silence = Silence(
            "q", is_waiting=lambda: self.is_waiting, deliveries=lambda: self.deliveries
        )
        self.channel = self.open()

    def open(self):
        self.channel = Channel()
        self.silence.begin(cast(Any, self.connection), cast(Any, self.channel))
        return self.channel

    def look(self, times=1):
        for _ in range(times):
            calls, self.connection.calls = self.connection.calls, []
            for call in calls:
                call()


@pytest.fixture
def queue():
    return Queue()


def test_a_consumer_that_gets_nothing_of_what_is_there_is_replaced(queue):
    """After some looks in turn."""
    queue.channel.messages = 7

    queue.look(PATIENCE)
    assert queue.channel.is_open
    queue.look()

    assert (queue.channel.is_open, queue.connection.is_aborted) == (False, False)


def test_a_queue_that_answers_nothing_is_left_with_its_connection(queue):
    """Its channel would not be closed in good order either."""
    queue.channel.answers = False

    queue.look(PATIENCE)
    assert not queue.connection.is_aborted
    queue.look()

    assert queue.connection.is_aborted
    assert queue.channel.asked == 1


def get_some(queue):
    queue.deliveries += 1


def run_empty(queue):
    queue.channel.messages = 0


def be_full(queue):
    queue.is_waiting = False


@pytest.mark.parametrize("change", [get_some, run_empty, be_full])
def test_looks_that_find_nothing_wrong_count_anew(queue, change):
    """It has given something, or has nothing, or is not to give anything."""
    for _ in range(4):
        queue.channel.messages, queue.is_waiting = 7, True
        queue.look(PATIENCE - 1)
        change(queue)
        queue.look()

    assert (queue.channel.is_open, queue.connection.is_aborted) == (True, False)


def test_a_busy_queue_is_not_asked(queue):
    """It says by itself that it is well."""
    for _ in range(5):
        queue.deliveries += 1
        queue.look()

    assert queue.channel.asked <= 5
    assert queue.channel.is_open


def test_only_the_latest_channel_is_looked_after(queue):
    """Another begins anew, with one row of looks."""
    first = queue.channel
    first.messages = 7
    queue.look(PATIENCE)
    second = queue.open()
    queue.look()

    assert first.is_open
    assert second.is_open
    assert len(queue.connection.calls) == 1
