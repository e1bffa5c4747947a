"""What a lone child takes from the store: one suspect at a time, and what it does with those that are bad."""

import pytest

from services.worker.consuming import suspects
from services.worker.consuming.suspects import Suspects
from taskyard.dispatcher import ATTEMPT_HEADER
from taskyard.message import Message, Options, decode, encode
from taskyard.store.attempts import Suspect


class Store:
    """A store with suspects to take."""

    def __init__(self, *bodies: str) -> None:
        self.waiting = [Suspect(f"job-{n}", "q", body, 2, 7) for n, body in enumerate(bodies)]

    def take_suspect(self, queues, reserve_ms):
        assert (queues, reserve_ms) == (["q"], round(suspects.RESERVE_S * 1000))
        return self.waiting.pop(0) if self.waiting else None


def body(name: str) -> str:
    """Return the body of a message."""
    return encode(
        Message(
            queue_name="q",
            task="add",
            args=[],
            kwargs={},
            options=Options(),
            message_id=name,
            message_timestamp=0,
        )
    )


def source(*bodies, is_busy=True):
    """Return a source that has taken its first, and what it takes from."""
    store = Store(*bodies)
    made = Suspects(store, ["q"], on_arrival=lambda: None, is_busy=lambda: is_busy)  # type: ignore[arg-type]
    made.run_once()
    return made, store


def test_the_next_suspect_comes_when_the_one_before_is_done_with():
    """Each carries the number of its attempt, and its priority."""
    made, _ = source(body("a"), body("b"))
    made.run_once()

    (first,) = made.inbox.take(10)
    assert (first.queue, first.priority, first.channel) == ("q", 7, None)
    message = decode(first.body)
    assert (message.message_id, message.options.attempt) == ("a", 2)
    made.ack([first])
    made.run_once()
    (second,) = made.inbox.take(10)
    assert decode(second.body).message_id == "b"


@pytest.mark.parametrize("end", ["ack", "hand_back"])
def test_a_source_without_suspects_is_idle(end):
    """Not while there is one, however long it runs."""
    made, _ = source(body("a"))

    assert made.idle_s == 0
    getattr(made, end)(made.inbox.take(1))
    assert made.idle_s > 0


@pytest.mark.parametrize("odd", ["{", "", "\udcff"])
def test_one_that_cannot_be_read_comes_as_it_is(odd):
    """It is refused like any message, and says as that would which attempt it is of."""
    made, _ = source(odd)

    (delivery,) = made.inbox.take(1)
    assert delivery.body == odd.encode(errors="surrogateescape")
    assert delivery.properties.message_id == "job-0"
    assert delivery.properties.headers == {ATTEMPT_HEADER: 2}


def test_one_that_does_not_start_does_not_hold_up_the_next(monkeypatch):
    """As where the store fails at its record: it is given out again when its reservation is over."""
    monkeypatch.setattr(suspects, "RESERVE_S", 0.0)
    stuck, _ = source(body("a"), body("b"), is_busy=False)
    running, _ = source(body("a"), body("b"), is_busy=True)
    for made in (stuck, running):
        made.run_once()

    assert (len(stuck.inbox), len(running.inbox)) == (2, 1)
    stuck.run_once()
    assert stuck.idle_s > 0


def test_a_source_that_is_stopped_takes_no_more():
    """What waits for the slot is dropped: the store gives it out again."""
    made, store = source(body("a"), body("b"))
    made.ack(made.inbox.take(1))

    made.stop_consuming()
    made.run_once()

    assert len(made.inbox) == 0
    assert len(store.waiting) == 1
    made.close()
