"""What a schedule does next: pure steps from one state to the next, with the time passed in.

A fire goes in two steps: first the decision is written (`firing`), then the job is made and that is written
too. The scheduler that writes the decision wins; if it dies then, another makes the job, under the same id.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from taskyard.schedules.rule import Schedule, jitter_ms, last_times, next_time
from taskyard.store.jobs import Reach

#: How long the scheduler that decided on a fire has to make its job before another does. Milliseconds.
HOLD_MS = 2000
#: How often a queued fire looks whether the job before it has ended. Milliseconds.
QUEUED_MS = 250

FireOutcome = Literal[
    "fired", "triggered", "queued", "refused", "skipped_missed", "skipped_overlap"
]


class ScheduleState(Struct, frozen=True, kw_only=True):
    """Where a schedule is; times in milliseconds since 1970."""

    created_at: int
    updated_at: int
    is_paused: bool = False
    is_declared: bool = False
    #: Fire times up to here are dealt with.
    cursor: int
    #: The first fire time after it.
    next_at: int | None = None
    #: Missed fire times that run all the same, in order.
    backlog: list[int] = []
    #: The fire time that waits for the end of the last one's job.
    queued: int | None = None
    #: The fire time whose job is being made.
    firing: int | None = None
    #: A job to cancel before.
    cancels: str | None = None
    #: The last fire time that was fired, and its job.
    last_fire: int | None = None
    last_job: str | None = None
    #: What the jobs may find in their place, or replace: what who wrote the schedule reaches; None: all.
    reach: Reach | None = None


class FireEvent(Struct, frozen=True, kw_only=True):
    """One entry of a schedule's history; times in milliseconds since 1970."""

    #: The fire time; of several skipped at once, the first.
    fire_at: int
    #: When this happened.
    at: int
    outcome: FireOutcome
    job_id: str | None = None
    reason: str = ""
    #: Of several fire times skipped at once, the last.
    until: int | None = None


class PlanStep(Struct, frozen=True):
    """A new state, and the events of its history."""

    state: ScheduleState
    events: list[FireEvent] = []


def started(schedule: Schedule, state: ScheduleState, now_ms: int) -> ScheduleState:
    """Return the state of a schedule that begins to look for fire times now."""
    return replace(
        state,
        cursor=now_ms,
        next_at=next_time(schedule, now_ms, anchor_ms=state.created_at),
        backlog=[],
        queued=None,
    )


def due_at(schedule: Schedule, state: ScheduleState, now_ms: int) -> int | None:
    """Return when somebody has to look after it again, or None if nobody has to."""
    if state.firing is not None:
        return now_ms + HOLD_MS
    if state.is_paused:
        return None
    if state.backlog:
        return now_ms
    times = [] if state.next_at is None else [state.next_at + jitter_ms(schedule, state.next_at)]
    if state.queued is not None:
        times.append(now_ms + QUEUED_MS)
    return min(times, default=None)


def decide(
    schedule: Schedule, state: ScheduleState, now_ms: int, *, is_last_active: bool
) -> PlanStep | None:
    """Return what to do now that nothing is `firing`, or None if it is not time.

    Args:
        schedule: The rule.
        state: Where it is.
        now_ms: The store's clock.
        is_last_active: Whether the job of the last fire has not ended.
    """
    if state.is_paused or state.firing is not None:
        return None
    if state.queued is not None and not is_last_active:
        return PlanStep(replace(state, firing=state.queued, queued=None))
    if state.backlog:
        rest = replace(state, backlog=state.backlog[1:])
        return _fire(schedule, rest, state.backlog[0], now_ms, is_last_active=is_last_active)
    time_ms = state.next_at
    if time_ms is None or time_ms + jitter_ms(schedule, time_ms) > now_ms:
        return None
    late_ms = now_ms - time_ms - jitter_ms(schedule, time_ms)
    if late_ms > schedule.grace_s * 1000:
        return _missed(schedule, state, time_ms, now_ms)
    passed = _passed(schedule, state, time_ms)
    return _fire(schedule, passed, time_ms, now_ms, is_last_active=is_last_active)


def fired(state: ScheduleState, event: FireEvent) -> PlanStep:
    """Return the state after the job of `firing` was made, or refused."""
    done = replace(state, firing=None, cancels=None)
    if event.outcome == "fired":
        done = replace(done, last_fire=event.fire_at, last_job=event.job_id)
    return PlanStep(done, [event])


def _fire(
    schedule: Schedule, state: ScheduleState, time_ms: int, now_ms: int, *, is_last_active: bool
) -> PlanStep:
    """Decide on one fire time by the overlap policy."""
    policy = schedule.overlap
    if policy == "allow" or not is_last_active:
        return PlanStep(replace(state, firing=time_ms))
    if policy == "cancel_previous":
        return PlanStep(replace(state, firing=time_ms, cancels=state.last_job))
    reason = "the last job has not ended"
    if policy == "queue_one" and state.queued is None:
        return PlanStep(
            replace(state, queued=time_ms),
            [FireEvent(fire_at=time_ms, at=now_ms, outcome="queued", reason=reason)],
        )
    if policy == "queue_one":
        reason = "another fire waits already"
    event = FireEvent(fire_at=time_ms, at=now_ms, outcome="skipped_overlap", reason=reason)
    return PlanStep(state, [event])


def _missed(schedule: Schedule, state: ScheduleState, first: int, now_ms: int) -> PlanStep:
    """Decide on all fire times that are missed, from `first` on, by the policy for them."""
    horizon_ms = now_ms - round(schedule.grace_s * 1000) - 1
    keep = {"skip": 0, "once": 1, "all": schedule.missed_max}[schedule.missed]
    anchor_ms = state.created_at
    # One more than are kept: the last of those that are not.
    found = last_times(schedule, first - 1, horizon_ms, anchor_ms=anchor_ms, limit=keep + 1)
    kept = found[-keep:] if keep else []
    dropped = found[: len(found) - len(kept)]
    passed = replace(_passed(schedule, state, found[-1]), backlog=kept)
    if not dropped:
        return PlanStep(passed)
    until = None if dropped[-1] == first else dropped[-1]
    reason = f"more than {schedule.grace_s:g} s late; missed = {schedule.missed}"
    event = FireEvent(
        fire_at=first, until=until, at=now_ms, outcome="skipped_missed", reason=reason
    )
    return PlanStep(passed, [event])


def _passed(schedule: Schedule, state: ScheduleState, time_ms: int) -> ScheduleState:
    """Return the state with fire times up to this one dealt with."""
    following = next_time(schedule, time_ms, anchor_ms=state.created_at)
    return replace(state, cursor=time_ms, next_at=following)


def event_of_fire(
    time_ms: int,
    now_ms: int,
    *,
    job_id: str | None = None,
    refused: str = "",
) -> FireEvent:
    """Return the event of a fire whose job was made, or refused for a reason."""
    outcome: FireOutcome = "refused" if refused else "fired"
    return FireEvent(fire_at=time_ms, at=now_ms, outcome=outcome, job_id=job_id, reason=refused)


_encoder = msgspec.json.Encoder()
_state_decoder = msgspec.json.Decoder(ScheduleState)
_event_decoder = msgspec.json.Decoder(FireEvent)


def encode(value: ScheduleState | FireEvent | dict[str, Any]) -> str:
    """Return the JSON of a state, an event or a schedule's fields."""
    return _encoder.encode(value).decode()


def decode_state(text: str) -> ScheduleState:
    """Return the state in this JSON."""
    return _state_decoder.decode(text)


def decode_event(text: str) -> FireEvent:
    """Return the event in this JSON."""
    return _event_decoder.decode(text)
