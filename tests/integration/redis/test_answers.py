"""A connection to Redis breaks after a call was carried out: redis-py sends it again, and it counts once."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from taskyard.dispatcher import Dispatcher
from taskyard.errors import StoreUnavailable
from taskyard.store import open_store
from taskyard.store.dead_letters import RetryRequest
from taskyard.store.keys import NewKey
from taskyard.store.replays import NewReplay
from taskyard.store.schedules import ScheduleWrite
from tests.contract.jobs import HOUR_MS, claim, heartbeat, new_job, outbox, pending, state
from tests.contract.test_dead_letters import failed
from tests.polling import poll


class Forgetful:
    """A way to Redis that can lose an answer, and breaks the connection with it.

    Args:
        port: Where Redis is, on this machine.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._to_lose = 0
        self.port: int = self._listener.getsockname()[1]
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next(self, answers: int = 1) -> None:
        """Lose the next answer, or the next ones."""
        self._to_lose = answers

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(near)
            far = stack.enter_context(socket.create_connection(self._target))
            chosen = stack.enter_context(selectors.DefaultSelector())
            chosen.register(near, selectors.EVENT_READ, far)
            chosen.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in chosen.select():
                    data = key.fileobj.recv(65_536)  # type: ignore[union-attr]  # they are sockets
                    if not data:
                        return
                    if key.fileobj is far and self._to_lose:
                        self._to_lose -= 1
                        self.lost += 1
                        return
                    key.data.sendall(data)


@pytest.fixture
def way(settings) -> Iterator[Forgetful]:
    """A way that loses answers when it is told to."""
    way = Forgetful(urlsplit(settings.result_backend).port or 6379)
    yield way
    way.close()


@pytest.fixture
def far(way, settings):
    """The store beyond it, which has run every script of the tests once: none is sent for another reason."""
    url = urlsplit(settings.result_backend)._replace(netloc=f"127.0.0.1:{way.port}").geturl()
    store = open_store(replace(settings, result_backend=url))
    store.ping()
    yield store
    store.close()


def test_a_job_that_was_recorded_is_told_as_new(way, far, store):
    """So who submitted it publishes it."""
    job = new_job("a")
    far.create([new_job()])
    way.lose_next()

    (created,) = far.create([job])

    assert (way.lost, created.is_new, created.state) == (1, True, "pending")
    assert far.withdraw(["a"]) == []
    assert store.totals().missing == 0


@pytest.mark.parametrize("method", ["dispatch", "dispatch_each"])
def test_a_job_whose_record_was_not_heard_of_is_confirmed_before_it_is_promised(
    way, far, publisher, store, bodies, queue, method
):
    """The answer is lost each time that it is asked for; who submitted it asks again later, by its id."""
    dispatcher = Dispatcher(far, publisher, publish_deadline_s=30)
    dispatch = getattr(dispatcher, method)
    dispatch([new_job(queue=queue)])
    poll(lambda: not store.vitals().unconfirmed)
    bodies(queue)
    way.lose_next(2)
    with pytest.raises(StoreUnavailable):
        dispatch([new_job("a", queue=queue)])
    assert (way.lost, state(store, "a"), bodies(queue)) == (2, "pending", [])

    (created,) = dispatch([new_job("a", queue=queue)])

    assert (created.id, created.is_new) == ("a", False)
    assert [properties.message_id for properties, _ in bodies(queue)] == ["a"]
    dispatcher.close()


def test_a_job_that_was_cancelled_is_told_as_cancelled(way, far, store):
    """Not as one that had ended before."""
    far.cancel([pending(store)], HOUR_MS)
    job_id = pending(store)
    way.lose_next()

    (answer,) = far.cancel([job_id], HOUR_MS)

    assert (way.lost, answer.verdict) == (1, "cancelled")


@pytest.mark.parametrize("replay_id", ["", "r1"])
def test_a_job_that_was_retried_is_told_as_retried(way, far, store, replay_id):
    """So who retried it publishes it; a replay has counted it once."""
    other, job_id = failed(store), failed(store)
    if replay_id:
        store.add_to_replay(replay_id, [(other, 1), (job_id, 1)])
        store.start_replay(NewReplay(id=replay_id, request="{}", rate_per_s=0, canary=0, edit=""))
    far.retry([RetryRequest(other, 1, "{}")], replay_id=replay_id)
    way.lose_next()

    (answer,) = far.retry([RetryRequest(job_id, 1, "{}")], replay_id=replay_id)

    assert (way.lost, answer.verdict, state_of(store, job_id)) == (1, "retried", "pending")
    assert outbox(store) == {other, job_id}
    assert [(each.replayed, each.skipped) for each in store.newest_replays()[0]] == [(2, 0)] * bool(
        replay_id
    )


def state_of(store, job_id: str) -> str:
    """Return the state of a job, whose body need not be readable."""
    return str(store.retry_sources([job_id])[0].state)


def test_what_was_withdrawn_is_not_told_to_stay(way, far, store):
    """Nor is it forgotten twice in the totals."""
    far.withdraw([pending(store)])
    job_id = pending(store)
    way.lose_next()

    assert (far.withdraw([job_id]), way.lost) == ([], 1)

    assert store.totals().missing == 0


def test_a_claim_is_told_as_it_was(way, far, store):
    """The same attempt, which runs once."""
    heartbeat(store)
    claim(far, pending(store))
    job_id = pending(store)
    way.lose_next()

    verdict = claim(far, job_id)

    assert (way.lost, verdict.kind, state(store, job_id)) == (1, "run", "running")


def test_operators_are_told_what_they_did(way, far, store):
    """A key added or revoked, a queue paused, a schedule written or removed, a dead letter purged."""

    def twice(number: int) -> list[object]:
        letter = failed(store)
        key = NewKey(id=f"k{number}", name=f"k{number}", digest="d", scopes=("jobs:read",))
        write = ScheduleWrite(
            name=f"s{number}", revision=0, spec="{}", state="{}", version=1, due_at_ms=None
        )
        calls = (
            lambda: far.add_key(key, max_keys=10),
            lambda: far.revoke_keys([key.id]) == [key.id],
            lambda: far.pause("queue", f"q{number}", {}),
            lambda: far.write_schedule(write),
            lambda: far.remove_schedule(write.name, 1),
            lambda: far.purge_dead([letter]) == [letter],
        )
        answers: list[object] = []
        for call in calls:
            if number:
                way.lose_next()
            answers.append(call())
        return answers

    expected = ["added", True, True, True, True, True]
    assert (twice(0), way.lost) == (expected, 0)
    assert (twice(1), way.lost) == (expected, 6)
