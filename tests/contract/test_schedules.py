"""What every store promises of schedules."""

from concurrent.futures import ThreadPoolExecutor

from taskyard.store.schedules import ScheduleWrite
from tests.polling import poll


def change(name: str = "a", revision: int = 0, **fields) -> ScheduleWrite:
    due_at_ms = fields.pop("due_at_ms", None)
    known = {"spec": "{}", "state": "{}", "version": 1, **fields}
    return ScheduleWrite(name=name, revision=revision, due_at_ms=due_at_ms, **known)


def test_the_clock_goes_forward(store):
    """In milliseconds since 1970."""
    first = store.now_ms()

    assert first > 1_700_000_000_000
    assert poll(lambda: store.now_ms() > first)


def test_what_is_written_can_be_read(store):
    """One by its name, and all by name."""
    assert store.write_schedule(change("b", spec='{"x":1}', state='{"y":2}', version=7))
    assert store.write_schedule(change("a"))

    found = store.schedule("b")

    assert (
        found.name,
        found.spec,
        found.state,
        found.version,
        found.revision,
    ) == ("b", '{"x":1}', '{"y":2}', 7, 1)
    assert [each.name for each in store.schedules()[0]] == ["a", "b"]
    assert store.schedule("c") is None


def test_only_one_who_read_the_last_revision_writes(store):
    """Others change nothing, their events are not told."""
    assert store.write_schedule(change())

    assert not store.write_schedule(change(spec="[]", events=["e"]))
    assert not store.write_schedule(change(revision=2, spec="[]", events=["e"]))
    assert (store.schedule("a").spec, store.schedule("a").revision) == ("{}", 1)
    assert store.schedule_events("a", 10) == []
    assert store.write_schedule(change(revision=1, spec="[]"))
    assert (store.schedule("a").spec, store.schedule("a").revision) == ("[]", 2)


def test_of_many_at_once_one_writes(store):
    """Whatever number of schedulers comes."""
    store.write_schedule(change())

    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda _: store.write_schedule(change(revision=1)), range(40)))

    assert sum(wrote) == 1


def test_due_ones_come_in_order_and_stay(store):
    """The longest due first, no more than asked for; with the time until the next that is not."""
    now_ms = store.now_ms()
    for name, late_ms in (("a", 10), ("b", 30), ("c", 20), ("d", -60_000)):
        store.write_schedule(change(name, due_at_ms=now_ms - late_ms))
    store.write_schedule(change("e"))

    due = store.due_schedules(10)

    assert [each.name for each in due.schedules] == ["b", "c", "a"]
    assert now_ms <= due.now_ms
    assert 50_000 < due.next_due_ms <= 60_000
    assert [each.name for each in store.due_schedules(2).schedules] == ["b", "c"]


def test_without_a_time_it_is_not_due(store):
    """Any more."""
    store.write_schedule(change(due_at_ms=1))
    store.write_schedule(change(revision=1))

    due = store.due_schedules(10)

    assert (due.schedules, due.next_due_ms) == ([], -1)


def test_the_last_hundred_events_are_kept(store):
    """Newest first."""
    store.write_schedule(change(events=[str(n) for n in range(90)]))
    store.write_schedule(change(revision=1, events=[str(n) for n in range(90, 120)]))

    assert store.schedule_events("a", 2) == ["119", "118"]
    assert [str(n) for n in range(119, 19, -1)] == store.schedule_events("a", 1000)


def test_one_is_removed_with_its_history(store):
    """If nobody changed it since; a new one of its name begins anew."""
    store.write_schedule(change(due_at_ms=1, events=["e"]))

    assert not store.remove_schedule("a", 0)
    assert not store.remove_schedule("a", 2)
    assert store.remove_schedule("a", 1)
    assert not store.remove_schedule("a", 1)

    assert store.schedule("a") is None
    assert [] == store.schedules()[0] == store.schedule_events("a", 10)
    assert store.due_schedules(10).schedules == []
    assert store.write_schedule(change())
