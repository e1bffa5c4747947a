"""What a schedule does at a time: pure steps, without servers."""

import pytest
from msgspec.structs import replace

from taskyard.schedules.plan import (
    HOLD_MS,
    FireEvent,
    ScheduleState,
    decide,
    decode_state,
    due_at,
    encode,
    fired,
    started,
)
from taskyard.schedules.rule import Schedule, parse

START_MS = 1_795_521_600_000  # 2026-11-24T12:00:00Z
MINUTE_MS = 60_000


def minute(number: int) -> int:
    return START_MS + number * MINUTE_MS


def schedule(**fields) -> Schedule:
    return parse({"name": "s", "task": "t", "cron": "* * * * *", "grace_s": 30, **fields})


def fresh(rule: Schedule, **fields) -> ScheduleState:
    state = ScheduleState(created_at=START_MS, updated_at=START_MS, cursor=START_MS)
    return replace(started(rule, state, START_MS), **fields)


def run(rule: Schedule, state: ScheduleState, now_ms: int, *, is_last_active: bool = False):
    """Take all steps that there are now; return the state, the times fired and the events."""
    times, events = [], []
    while step := decide(rule, state, now_ms, is_last_active=is_last_active):
        state = step.state
        events += step.events
        if state.firing is not None:
            times.append(state.firing)
            made = FireEvent(fire_at=state.firing, at=now_ms, outcome="fired", job_id="j")
            state = fired(state, made).state
    return state, times, events


def test_nothing_happens_before_its_time():
    """The first fire time is after its start, not at it."""
    rule = schedule()

    assert minute(1) == fresh(rule).next_at == due_at(rule, fresh(rule), START_MS)
    assert None is decide(rule, fresh(rule), minute(1) - 1, is_last_active=False)


def test_each_time_fires_once():
    """Then the next one is waited for."""
    rule = schedule()
    state, times, events = run(rule, fresh(rule), minute(1) + 5)

    assert (times, events) == ([minute(1)], [])
    assert (minute(2), minute(1)) == (state.next_at, state.last_fire)
    assert run(rule, state, minute(1) + 6)[1:] == ([], [])


def test_jitter_makes_it_due_later():
    """The fire time itself stays."""
    rule = schedule(jitter_s=20)
    due = due_at(rule, fresh(rule), START_MS)
    assert due is not None

    assert minute(1) < due <= minute(1) + 20_000
    assert None is decide(rule, fresh(rule), due - 1, is_last_active=False)
    assert run(rule, fresh(rule), due)[1] == [minute(1)]


def test_within_its_grace_a_time_is_not_missed():
    """Late as it is, it fires."""
    rule = schedule(missed="skip", grace_s=30)

    assert run(rule, fresh(rule), minute(1) + 30_000)[1] == [minute(1)]
    assert run(rule, fresh(rule), minute(1) + 30_001)[1] == []


@pytest.mark.parametrize(
    ("fields", "expected", "skipped"),
    [
        ({"missed": "skip"}, [10], (1, 9)),
        ({"missed": "once"}, [9, 10], (1, 8)),
        ({"missed": "all"}, list(range(1, 11)), None),
        ({"missed": "all", "missed_max": 3}, [7, 8, 9, 10], (1, 6)),
        ({"missed": "all", "missed_max": 9}, list(range(1, 11)), None),
        ({"missed": "all", "missed_max": 8}, list(range(2, 11)), (1, None)),
    ],
)
def test_missed_policies(fields, expected, skipped):
    """After a downtime of ten minutes the tenth time is on time, nine are missed."""
    rule = schedule(**fields)

    _, times, events = run(rule, fresh(rule), minute(10) + 1000)

    assert [minute(n) for n in expected] == times
    told = [(e.fire_at, e.until) for e in events if e.outcome == "skipped_missed"]
    first_last = [] if skipped is None else [tuple(n and minute(n) for n in skipped)]
    assert first_last == told


def test_a_downtime_of_years_is_bounded():
    """However many times were missed, only so many are looked at."""
    rule = schedule(missed="all", missed_max=5)

    _, times, _ = run(rule, fresh(rule), minute(3_000_000))

    assert [minute(n) for n in range(2_999_995, 3_000_001)] == times


@pytest.mark.parametrize("policy", ["allow", "skip", "queue_one", "cancel_previous"])
def test_overlap_matters_only_while_the_last_job_is_active(policy):
    """Else each time fires."""
    rule = schedule(overlap=policy)

    assert run(rule, fresh(rule, last_job="j"), minute(1))[1] == [minute(1)]


def test_overlap_allow():
    """It runs beside the last one."""
    rule = schedule(overlap="allow")

    assert run(rule, fresh(rule), minute(1), is_last_active=True)[1] == [minute(1)]


def test_overlap_skip():
    """It does not run, and its history says so."""
    rule = schedule(overlap="skip")

    state, times, events = run(rule, fresh(rule, last_job="j"), minute(1), is_last_active=True)

    assert (times, [event.outcome for event in events]) == ([], ["skipped_overlap"])
    assert (minute(2), "j") == (state.next_at, state.last_job)


def test_overlap_queue_one():
    """One waits for the end of the last one; who comes while it waits does not run."""
    rule = schedule(overlap="queue_one", grace_s=3600)

    state, times, events = run(rule, fresh(rule, last_job="j"), minute(3), is_last_active=True)
    _, later, _ = run(rule, state, minute(3) + 1)

    assert times == []
    assert [event.outcome for event in events] == ["queued", "skipped_overlap", "skipped_overlap"]
    assert later == [minute(1)]


def test_overlap_cancel_previous():
    """The last job is named, to be cancelled before."""
    rule = schedule(overlap="cancel_previous")

    step = decide(rule, fresh(rule, last_job="j"), minute(1), is_last_active=True)

    assert step is not None
    assert ("j", minute(1)) == (step.state.cancels, step.state.firing)


def test_while_it_is_paused_nothing_is_due():
    """But a fire that was decided on is finished."""
    rule = schedule()
    paused = fresh(rule, is_paused=True)

    assert None is due_at(rule, paused, minute(5))
    assert None is decide(rule, paused, minute(5), is_last_active=False)
    assert minute(5) + HOLD_MS == due_at(rule, replace(paused, firing=minute(1)), minute(5))


def test_a_refused_fire_is_not_the_last_job():
    """The next one is held against the job that there is."""
    rule = schedule()
    event = FireEvent(fire_at=minute(1), at=minute(1), outcome="refused")

    state = fired(fresh(rule, firing=minute(1), last_job="j"), event).state

    assert (state.firing, state.last_job, state.last_fire) == (None, "j", None)


def test_states_survive_json():
    """As the store keeps them."""
    state = fresh(schedule(), backlog=[1, 2], queued=3, firing=4, cancels="j")

    assert decode_state(encode(state)) == state
