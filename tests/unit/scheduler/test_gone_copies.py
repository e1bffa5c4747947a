"""Which copies are given up, by counts alone."""

from typing import Any

import pytest

from services.scheduler.chores.lost_messages import GIVE_UP_S, GoneCopies
from taskyard.rabbitmq.inspect import Depth

FULL = Depth(3, 1)


class Store:
    """What is counted, and what was forgotten."""

    def __init__(self, **copies: int) -> None:
        self.known = copies
        self.forgotten: list[dict[str, int]] = []

    def copies(self, *, recent_ms: int) -> dict[str, int]:
        assert recent_ms == 2000
        return self.known

    def workers(self) -> list[dict[str, Any]]:
        return [{"is_alive": True, "prefetched": {"held": 1}}]

    def forget_copies(self, gone: dict[str, int]) -> None:
        self.forgotten.append(gone)


class Clock:
    """Seconds that pass when they are told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def watching(store, clock) -> GoneCopies:
    make: Any = GoneCopies
    watch: GoneCopies = make(store, after_s=2, clock=clock)
    return watch


def test_an_empty_queue_has_no_copies(clock):
    """They have come, or were purged; of one that was not counted nothing is known."""
    store = Store(empty=5, deleted=5, full=5, unread=5, held=5, unknown=5)
    empty = Depth(0, 1)
    depths = {"empty": empty, "deleted": None, "full": FULL, "unread": Depth(0, 0), "held": empty}

    watching(store, clock).look(depths, {})

    assert store.forgotten == [{"empty": 5, "deleted": 5}]


@pytest.mark.parametrize(("lacking", "forgotten"), [(2, 2), (9, 5)])
def test_a_queue_that_lacks_messages_for_long_lacks_copies(clock, lacking, forgotten):
    """No more than there are, and once: then it is looked at as long again."""
    store = Store(q=5)
    watch = watching(store, clock)

    watch.look({"q": FULL}, {"q": lacking})
    clock.now_s = GIVE_UP_S - 1
    watch.look({"q": FULL}, {"q": lacking})
    assert store.forgotten == []
    clock.now_s = GIVE_UP_S
    watch.look({"q": FULL}, {"q": lacking})
    watch.look({"q": FULL}, {"q": lacking})

    assert store.forgotten == [{"q": forgotten}]


def test_a_queue_that_lacks_none_in_between_keeps_its_copies(clock):
    """Counts are a little off while jobs go on."""
    store = Store(q=5)
    watch = watching(store, clock)

    for lacking in ({"q": 1}, {}, {"q": 1}):
        clock.now_s += GIVE_UP_S / 2
        watch.look({"q": FULL}, lacking)

    assert store.forgotten == []
