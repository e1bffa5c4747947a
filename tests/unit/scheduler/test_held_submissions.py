"""Submissions that wait for queues which take no messages."""

from itertools import islice

import msgspec
import pytest

from services.scheduler.intake.held_submissions import MOST_BYTES, PAUSE_MAX_S, HeldSubmissions
from services.scheduler.intake.intake_pass import Pass
from services.scheduler.intake.received import ReceivedSubmission
from taskyard.errors import BrokerUnavailable, StoreFault
from taskyard.runtime.apart import Apart

FULL = BrokerUnavailable("queue 'full' refused the message")
DAMAGED = StoreFault("the store failed at this")


class Clock:
    """A time that stands still until it is put on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def aside(clock) -> HeldSubmissions:
    """A place for five."""
    return HeldSubmissions(Apart("submission", clock=clock), clock=clock, most=5)


def submission(name: str) -> ReceivedSubmission:
    """Return one of this id, from no channel."""
    return ReceivedSubmission(tag=1, channel=None, body=b"", id=name)  # type: ignore[arg-type]  # none is needed


def taken(aside, most: int = 10) -> list[str]:
    """Return the ids of what goes on, so many at most."""
    return [each.id for each in islice(aside.take(), most)]


def test_nothing_is_in_the_way_of_queues_that_take_messages(aside):
    """And there is nothing to go on."""
    assert aside.in_the_way({"a", "b"}) is None
    assert taken(aside) == []


def test_a_queue_that_refuses_is_tried_again_by_one(aside, clock):
    """After a pause that grows; all others of the queue wait, those of other queues do not."""
    aside.close("full", FULL)
    for name in "abc":
        aside.hold("full", submission(name))

    assert (aside.in_the_way({"full", "good"}), aside.in_the_way({"good"})) == ("full", None)
    assert taken(aside) == []
    clock.now_s += 1
    assert taken(aside) == ["a"]
    assert [aside.in_the_way({"full"}) for _ in range(2)] == [None, "full"]
    aside.close("full", FULL)
    clock.now_s += 1.5
    assert aside.in_the_way({"full"}) == "full"
    clock.now_s += 0.5
    assert taken(aside) == ["b"]


def test_the_pause_has_an_end(aside, clock):
    """A queue is tried at least so often."""
    for _ in range(100):
        aside.close("full", FULL)

    clock.now_s += PAUSE_MAX_S

    assert aside.in_the_way({"full"}) is None


def test_what_waited_for_a_queue_goes_on_when_it_takes_messages_again(aside):
    """In its order, as many as are asked for."""
    aside.close("full", FULL)
    for name in "abc":
        aside.hold("full", submission(name))

    aside.open("full")

    assert aside.in_the_way({"full"}) is None
    assert [taken(aside, 2) for _ in range(3)] == [["a", "b"], ["c"], []]


def test_what_is_to_wait_for_a_queue_that_is_open_goes_on_at_once(aside):
    """It was opened between the decision and this."""
    aside.close("full", FULL)
    aside.open("full")

    aside.hold("full", submission("late"))

    assert (aside.room, taken(aside), aside.room) == (4, ["late"], 5)


def test_there_is_room_for_some(aside):
    """What goes on again takes up room until it is taken."""
    aside.close("full", FULL)
    aside.close("other", FULL)
    for name in "abc":
        aside.hold("full", submission(name))
    aside.hold("other", submission("d"))
    assert aside.room == 1

    aside.open("full")
    assert aside.room == 1

    taken(aside)
    assert aside.room == 4


def test_what_rabbitmq_has_taken_back_is_forgotten(aside):
    """It comes again by itself."""
    aside.close("full", FULL)
    aside.close("other", FULL)
    for queue in ("full", "other"):
        for name in "ab":
            aside.hold(queue, submission(f"{queue}-{name}"))
    aside.open("full")

    aside.keep_only(lambda held: [each for each in held if each.id.endswith("b")])

    assert aside.room == 3
    assert taken(aside) == ["full-b"]


def test_what_failed_by_itself_goes_on_after_a_rest_that_grows(aside, clock):
    """It takes up room meanwhile, and waits for nothing else."""
    rested = []
    for _ in range(2):
        aside.rest(submission("a"), DAMAGED)
        before = taken(aside)
        clock.now_s += 1
        rested.append((before, aside.room, taken(aside), aside.room))
        clock.now_s += 1
        taken(aside)

    assert rested == [([], 4, ["a"], 5), ([], 4, [], 4)]


def test_what_rests_is_taken_up_to_the_limit_and_forgotten_with_the_others(aside, clock):
    """Of several some go on, and what RabbitMQ has taken back comes again by itself."""
    for name in "abc":
        aside.rest(submission(name), DAMAGED)
    clock.now_s += 1

    assert taken(aside, 1) == ["a"]
    aside.keep_only(lambda held: [each for each in held if each.id == "c"])
    assert taken(aside) == ["c"]


def test_a_pass_has_as_many_wait_as_there_is_room_for():
    """By their number and by the bytes of their bodies, whichever is less."""
    small, large = submission("small"), msgspec.structs.replace(submission("large"), body=b"x" * 9)
    pass_ = Pass([small], room=2, room_bytes=8)

    assert not pass_.waits(large, "full")
    assert pass_.waits(small, "full")
    assert pass_.rests(small, FULL)
    assert not pass_.waits(small, "full")
    assert not pass_.rests(small, FULL)


def test_bytes_that_are_held_leave_less_room(aside):
    """Wherever they wait: for a queue, for their turn, or as they have failed by themselves."""
    bodies = [msgspec.structs.replace(submission(name), body=b"x" * 100) for name in "abc"]
    aside.close("full", FULL)
    aside.hold("full", bodies[0])
    aside.hold("open", bodies[1])
    aside.rest(bodies[2], DAMAGED)

    assert aside.held_bytes == 300
    assert aside.room_bytes == MOST_BYTES - 300
