"""The audit log: entries come before their action, end with it, and go when there are too many."""

import pytest

from taskyard.message import new_id
from taskyard.store.audit_log import Action, ActionFilter

DAY_S = 86_400


@pytest.fixture
def begin(store):
    """A function that adds an entry and returns it."""

    def add(action="queue.pause", target="emails", who="ada", **bounds):
        entry = Action(id=new_id(), who=who, origin="api", action=action, target=target)
        store.begin_action(entry, **{"max_entries": 1000, "ttl_s": DAY_S, **bounds})
        return entry

    return add


@pytest.fixture
def ids(store):
    """A function that returns the ids of all entries that fit a filter, the newest first."""
    return lambda **wanted: [
        entry.action.id for entry in store.find_actions(ActionFilter(**wanted), 100)[0]
    ]


def test_an_entry_says_that_its_end_is_unknown_until_it_is_told(store, begin):
    """What a crash cuts off stays to be seen."""
    entry = begin()
    (found,), _ = store.find_actions(ActionFilter(), 10)
    assert entry == found.action
    assert found.action.outcome == "unknown"

    ended = Action(
        id=entry.id,
        who="ada",
        origin="api",
        action="queue.pause",
        outcome="done",
        before={"paused": None},
        after={"paused": {"reason": "ü"}},
        request_id="r1",
    )
    store.end_action(ended.id, ended)

    (told,), cursor = store.find_actions(ActionFilter(), 10)
    assert (ended, found.at_ms, None) == (told.action, told.at_ms, cursor)


def test_a_dropped_entry_is_gone_and_stays_gone(store, begin, ids):
    """Also if its end is told afterwards, or it is dropped again."""
    entry = begin()

    store.end_action(entry.id, None)
    store.end_action(entry.id, None)
    store.end_action(entry.id, entry)

    assert ids() == []


def test_a_repeated_call_makes_no_second_entry(store, begin, ids):
    """Nor does it take back what is known already."""
    entry = begin()
    store.end_action(
        entry.id, Action(id=entry.id, who="a", origin="api", action="x.y", outcome="done")
    )

    store.begin_action(entry, max_entries=10, ttl_s=DAY_S)

    assert ids() == [entry.id]
    assert store.find_actions(ActionFilter(), 10)[0][0].action.outcome == "done"


def test_filters_choose_by_who_action_target_and_time(store, begin, ids):
    """An action may be named by its first word."""
    pause = begin()
    resume = begin("queue.resume", "reports", "bob")
    other = begin("queues.odd", "emails", "bob")

    assert ids() == [other.id, resume.id, pause.id]
    assert ids(action="queue") == [resume.id, pause.id]
    assert ids(action="queue.resume") == [resume.id]
    assert ids(action="queue.res") == []
    assert ids(who="bob") == [other.id, resume.id]
    assert ids(target="emails") == [other.id, pause.id]
    assert ids(target="emails", who="bob") == [other.id]
    at_ms = store.now_ms()
    assert len(ids(before_ms=at_ms, after_ms=at_ms - 60_000)) == 3
    assert ids(after_ms=at_ms + 60_000) == []
    assert ids(before_ms=at_ms - 60_000) == []


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_give_each_entry_once(store, begin, size):
    """Also of those that came in one millisecond, and while others come."""
    there = [begin(target=str(n)).id for n in range(25)]

    seen, cursor = [], None
    while True:
        page, cursor = store.find_actions(ActionFilter(), size, cursor)
        assert len(page) <= size
        seen += [entry.action.id for entry in page]
        if cursor is None:
            break
        begin(target="later")

    assert sorted(there, reverse=True) == seen


def test_the_oldest_go_when_there_are_too_many(begin, ids):
    """A bound that was lowered holds after some more entries."""
    for _ in range(30):
        begin()

    last = begin(max_entries=10)

    assert len(ids()) == 10
    assert last.id == ids()[0]


def test_entries_past_their_time_go(store, begin, ids):
    """With the next entry that comes."""
    old = begin()
    begin(ttl_s=60)
    assert len(ids()) == 2

    begin(ttl_s=0)

    assert old.id not in ids()
