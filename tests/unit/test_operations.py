"""What operators do, where a server or another operator gets in the way."""

from typing import Any

import pytest

from taskyard.errors import ScheduleNotFound, StoreUnavailable
from taskyard.operations.schedules import note_triggered


class Store:
    """Tells the time, or fails."""

    def __init__(self, error=None):
        self.error = error

    def now_ms(self):
        if self.error is not None:
            raise self.error
        return 1_000


class Schedules:
    """Keeps what it is told, or fails."""

    def __init__(self, error=None):
        self.error = error
        self.told = []

    def add_event(self, name, event):
        if self.error is not None:
            raise self.error
        self.told.append((name, event.outcome, event.job_id, event.at))


class Actor:
    """Who has these two."""

    def __init__(self, store, schedules):
        self.store = store
        self.schedules = schedules


def test_a_triggered_job_is_noted_in_the_history():
    """With the store's time."""
    actor: Any = Actor(Store(), Schedules())

    note_triggered(actor, "nightly", "job")

    assert actor.schedules.told == [("nightly", "triggered", "job", 1_000)]


@pytest.mark.parametrize(
    "actor",
    [
        Actor(Store(StoreUnavailable("away")), Schedules()),
        Actor(Store(), Schedules(StoreUnavailable("away"))),
        Actor(Store(), Schedules(ScheduleNotFound("nightly"))),
    ],
)
def test_a_job_that_is_made_is_no_error_where_nobody_could_note_it(actor):
    """Whoever triggered it would do so again."""
    note_triggered(actor, "nightly", "job")

    assert actor.schedules.told == []
