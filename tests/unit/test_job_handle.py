"""A job's handle, with doubles for the client and its store."""

from types import SimpleNamespace
from typing import Any

import pytest

from taskyard.client import JobHandle
from taskyard.job import State


class Store:
    """A store whose job has not ended; it notes how long it was asked to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, job_id: str, timeout_s: float) -> Any:
        self.waits.append(timeout_s)
        return SimpleNamespace(state=State.RUNNING)


def test_a_timeout_that_is_over_asks_once():
    """As what is left of a caller's own deadline may be."""
    store = Store()
    client: Any = SimpleNamespace(store=store)

    with pytest.raises(TimeoutError):
        JobHandle("j", client).get(timeout=-1)

    assert store.waits == [0.0]
