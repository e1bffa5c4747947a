"""What really ran: each execution of each attempt, as the tasks told it and the system does not know."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from tests.events import Event


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a task's function; times in seconds since 1970."""

    job_id: str
    task: str
    number: int
    attempt: int
    pid: int
    began_at: float
    #: None: nobody told an end, because the process died, or because it runs yet.
    ended_at: float | None = None
    #: Whether the function came to its end, and did not raise.
    returned: bool = False


def read_executions(events: Iterable[Event], since: float = 0.0) -> list[Execution]:
    """Return the executions that began at `since` or later, in the order of their beginning."""
    ends: dict[tuple[str, int, int], deque[tuple[float, str]]] = defaultdict(deque)
    begun: list[tuple[Event, str, str]] = []
    for event in events:
        phase, task, number = event.what.split(":")
        if phase == "begins":
            begun.append((event, task, number))
        else:
            ends[_place(event)].append((event.time, phase))
    found = [_execution(event, task, number, ends[_place(event)]) for event, task, number in begun]
    return [each for each in found if each.began_at >= since]


def _place(event: Event) -> tuple[str, int, int]:
    return event.job_id, event.attempt, event.pid


def _execution(event: Event, task: str, number: str, ends: deque[tuple[float, str]]) -> Execution:
    ended_at, phase = ends.popleft() if ends else (None, "")
    return Execution(
        job_id=event.job_id,
        task=task,
        number=int(number),
        attempt=event.attempt,
        pid=event.pid,
        began_at=event.time,
        ended_at=ended_at,
        returned=phase == "returns",
    )
