"""A job's handle, with doubles for the client and its store."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from taskyard.errors import JobFailed
from taskyard.explain.findings import Finding
from taskyard.job import State
from taskyard.job_handle import MAX_WAIT_S, WARN_AFTER_S, JobHandle


class Store:
    """A store whose job comes to these states, the last for good; it notes how long it was asked to wait."""

    def __init__(self, *states: State) -> None:
        self.waits: list[float] = []
        self._states = list(states)

    def wait(self, job_id: str, timeout_s: float) -> Any:
        self.waits.append(timeout_s)
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return SimpleNamespace(state=state, result="7", error=None)


class Client:
    """A client that knows why a job has not ended; it notes how often it was asked."""

    def __init__(self, store: Store, *, needs_action: bool = True) -> None:
        self.store = store
        self.asked = 0
        self._finding = Finding(
            code="parked", summary="It is parked.", facts={}, needs_action=needs_action
        )

    def why_not_ended(self, job_id: str) -> Finding:
        self.asked += 1
        return self._finding


def handle(client: Any) -> JobHandle:
    """Return the handle of a job."""
    return JobHandle("j", client)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State.FAILED, "job 'j' failed"),
        (State.CANCELLED, "job 'j' was cancelled"),
        (State.EXPIRED, "job 'j' expired"),
    ],
)
def test_a_job_without_a_result_says_how_it_ended(state, text):
    """The state is there for programs, too."""
    with pytest.raises(JobFailed) as caught:
        handle(Client(Store(state))).get(timeout=1)

    assert (str(caught.value), caught.value.state) == (text, state)


def test_a_timeout_that_is_over_asks_once():
    """As what is left of a caller's own deadline may be."""
    client = Client(Store(State.RUNNING))

    with pytest.raises(TimeoutError):
        handle(client).get(timeout=-1)

    assert (client.store.waits, client.asked) == ([0.0], 0)


def test_a_timeout_says_why_the_job_has_not_ended(monkeypatch):
    """Unless it is so short that somebody asks again and again."""
    client = Client(Store(State.SCHEDULED))

    with pytest.raises(TimeoutError) as short:
        handle(client).get(timeout=0)
    monkeypatch.setattr(sys.modules["taskyard.job_handle"], "WHY_FROM_S", 0.0)
    with pytest.raises(TimeoutError) as long:
        handle(client).get(timeout=0)

    assert str(short.value) == "job 'j' is still scheduled after 0 s"
    assert str(long.value) == "job 'j' is still scheduled after 0 s: It is parked."
    assert client.asked == 1


@pytest.mark.parametrize(
    ("state", "needs_action", "warnings"),
    [
        (State.SCHEDULED, True, ["job j is waited for: It is parked."]),
        (State.SCHEDULED, False, []),
        (State.RUNNING, True, []),
    ],
)
def test_who_waits_without_a_limit_is_warned_once(caplog, state, needs_action, warnings):
    """Of what does not pass by itself; a job that runs only takes its time."""
    client = Client(Store(state, state, state, State.COMPLETED), needs_action=needs_action)

    assert handle(client).get() == 7

    assert [record.getMessage() for record in caplog.records] == warnings
    assert client.store.waits == [WARN_AFTER_S, MAX_WAIT_S, MAX_WAIT_S, MAX_WAIT_S]
