"""What a child tells its supervisor while it leaves: a silent one would be killed, and its jobs blamed."""

import multiprocessing
import os
import signal
from typing import Any

import pytest
import redis

from services.worker import child


class Beats:
    """What a child has told so far."""

    def __init__(self, pipe):
        self._pipe = pipe

    def until(self, is_last):
        """Return what is told next, up to one that is the last, or to the child's end."""
        told: list[dict[str, Any]] = []
        while self._pipe.poll(60) and not (told and is_last(told[-1])):
            try:
                told.append(self._pipe.recv())
            except EOFError:
                break
        return told


@pytest.fixture
def yard(make_yard):
    return make_yard(STORE_TIMEOUT_S="1", PUBLISH_DEADLINE_S="1")


@pytest.fixture
def running(yard):
    """A child that serves, and what it tells."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    arguments = (yard.settings, 0, "test:0", theirs, False)
    process = multiprocessing.get_context("spawn").Process(target=child.main, args=arguments)
    process.start()
    theirs.close()
    beats = Beats(ours)
    beats.until(lambda beat: not beat["problems"])
    yield process, beats
    process.kill()
    process.join()


def leave(process, beats):
    """Have it leave, and return what it told meanwhile."""
    os.kill(process.pid, signal.SIGTERM)
    told = beats.until(lambda beat: beat.get("has_left"))
    process.join()
    return [beat for beat in told if "leaving" in beat or "has_left" in beat]


def test_a_child_is_heard_of_while_it_leaves(running):
    """Before each of its parts is closed: none takes as long as all of them do with slow servers."""
    process, beats = running

    told = leave(process, beats)

    assert len(told) > 10
    assert (told[-1], process.exitcode) == ({"problems": ["gone"], "has_left": True}, 0)


def test_a_child_leaves_in_good_order_though_the_store_fails_at_its_data(running, yard):
    """That is no death by a job: nothing that is left in it becomes a suspect."""
    process, beats = running
    workers = f"{yard.settings.key_prefix}workers"
    with redis.Redis.from_url(yard.settings.result_backend) as server:
        server.delete(workers)
        server.set(workers, "damaged")
        beats.until(lambda beat: "heartbeat fails" in beat["problems"])

        told = leave(process, beats)

    assert told[-1].get("has_left")
    assert process.exitcode == 0
    assert yard.store.end_lease("test:0", "gone") is False  # it was signed off
