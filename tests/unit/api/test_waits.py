"""Wait slots: how many wait, and when a wait ends early."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.api.http.wait_slots import SLICE_S, WaitSlots
from taskyard.errors import BrokerUnavailable
from taskyard.job import Job, State
from taskyard.message import Message, Options


def job(state: State = State.PENDING) -> Job:
    """Return a job in `state`."""
    message = Message(
        queue_name="q",
        task="t",
        args=[],
        kwargs={},
        options=Options(),
        message_id="a",
        message_timestamp=0,
    )
    return Job(message=message, queue="q", state=state, attempt=0, created_at=0)


class Servers:
    """Stands in for a dispatcher with its store and its publisher, none of which has a clock.

    Args:
        states: What each wait for the job answers, in turn; the last one for ever.
        on_wait: Called in each wait.
        is_ready: Whether the broker takes messages.
    """

    def __init__(
        self,
        *states: State,
        on_wait: Callable[[], object] = lambda: None,
        is_ready: bool = True,
    ) -> None:
        self.store = self.publisher = self
        self.is_ready = is_ready
        self.state = "away"
        self.waited_s: list[float] = []
        self._states = list(states) or [State.PENDING]
        self.on_wait = on_wait

    def wait(self, job_id: str, timeout_s: float) -> Job:
        self.waited_s.append(timeout_s)
        self.on_wait()
        return job(self._states.pop(0) if len(self._states) > 1 else self._states[0])

    def get(self, ids: Sequence[str]) -> list[Job]:
        return [job() for _ in ids]

    def submit(self, job: Any) -> str:
        self.on_wait()
        return "dispatched"


def waits(servers: Servers, *, count: int = 1, is_stopping: bool = False) -> WaitSlots:
    """Return wait slots for `servers`."""
    dispatcher: Any = servers
    return WaitSlots(dispatcher, servers.get, count=count, is_stopping=lambda: is_stopping)


def test_a_wait_goes_on_in_slices_until_the_job_ends():
    """Each look at the store is short, so that a stop is noticed."""
    servers = Servers(State.PENDING, State.RUNNING, State.COMPLETED)

    found = waits(servers).job("a", 30)

    assert found is not None
    assert found.state is State.COMPLETED
    assert servers.waited_s == [SLICE_S] * 3


def test_a_wait_ends_with_the_server():
    """A server that stops answers with the job as it is."""
    servers = Servers(State.RUNNING)

    found = waits(servers, is_stopping=True).job("a", 30)

    assert found is not None
    assert found.state is State.RUNNING
    assert len(servers.waited_s) == 1


def test_a_short_wait_is_one_look():
    """No time is lost where it is less than a slice."""
    servers = Servers(State.PENDING)

    waits(servers).job("a", SLICE_S / 2)

    assert len(servers.waited_s) == 1
    assert servers.waited_s[0] <= SLICE_S / 2


def test_no_wait_takes_no_place():
    """`wait_s=0` only looks."""
    servers = Servers()

    waits(servers, count=1).job("a", 0)

    assert servers.waited_s == []


def test_who_finds_no_place_is_answered_at_once():
    """A second wait, begun while the first goes on, only looks; then the place is free again."""
    seen: list[Job | None] = []
    told: list[float | None] = []

    def second() -> None:
        seen.append(places.job("b", 30))
        told.append(REGISTRY.get_sample_value("taskyard_http_waits"))

    servers = Servers(State.COMPLETED, on_wait=second)
    places = waits(servers, count=1)

    places.job("a", 30)
    servers.on_wait = lambda: None
    places.job("c", 30)

    assert [found and found.state for found in seen] == [State.PENDING]
    assert told == [1]
    assert REGISTRY.get_sample_value("taskyard_http_waits") == 0
    assert len(servers.waited_s) == 2


def test_submissions_need_no_place_while_the_broker_is_there():
    """They take as many threads as there are."""
    servers = Servers()
    places = waits(servers, count=1)
    anything: Any = object()
    inner: list[object] = []

    def submit_another() -> None:
        servers.on_wait = lambda: None
        inner.append(places.dispatch(anything))

    servers.on_wait = submit_another
    places.dispatch(anything)

    assert inner == ["dispatched"]


def test_few_submissions_wait_for_a_broker_that_is_away():
    """The others are refused at once, so that threads remain for everything else."""
    entered, leave = threading.Event(), threading.Event()
    anything: Any = object()

    def hang() -> None:
        entered.set()
        leave.wait(30)

    servers = Servers(is_ready=False, on_wait=hang)
    places = waits(servers, count=1)
    first = threading.Thread(target=places.dispatch, args=(anything,))
    first.start()
    assert entered.wait(30)

    with pytest.raises(BrokerUnavailable, match="away"):
        places.dispatch(anything)

    leave.set()
    first.join(10)
    places.dispatch(anything)
