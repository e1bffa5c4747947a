"""What the tasks of `make faults` have told is read as executions."""

from tests.events import Event
from tests.nemesis.executions import read_executions


def told(time, phase, *, attempt=1, pid=11, job_id="job"):
    return Event(time, f"{phase}:nap:7", job_id, attempt, pid)


def test_beginnings_and_ends_of_one_attempt_in_one_process_belong_together():
    """Whatever others tell in between."""
    events = [
        told(1, "begins"),
        told(2, "begins", pid=22),
        told(3, "returns"),
        told(4, "raises", pid=22),
    ]

    first, second = read_executions(events)

    assert (first.pid, first.began_at, first.ended_at, first.returned) == (11, 1, 3, True)
    assert (second.pid, second.began_at, second.ended_at, second.returned) == (22, 2, 4, False)
    assert (first.task, first.number, first.attempt) == ("nap", 7, 1)


def test_an_execution_without_an_end_is_open():
    """Its process died, or runs it yet."""
    (open_one,) = read_executions([told(1, "begins")])

    assert (open_one.ended_at, open_one.returned) == (None, False)


def test_the_same_attempt_may_begin_twice():
    """That is for the judge to find, and not to be lost here."""
    first, second = read_executions([told(1, "begins"), told(2, "returns"), told(3, "begins")])

    assert (first.ended_at, second.ended_at) == (2, None)


def test_executions_of_earlier_rounds_are_left_out():
    """Those that began before."""
    events = [told(1, "begins"), told(6, "returns"), told(5, "begins", job_id="later")]

    assert [each.job_id for each in read_executions(events, since=5)] == ["later"]
