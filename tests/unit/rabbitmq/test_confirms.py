"""Confirms: which messages each is about, and when a caller may go."""

import pytest

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.confirms import Batch, Sent, UnconfirmedMessage
from taskyard.rabbitmq.outgoing import Outgoing


@pytest.fixture
def batch():
    """A call with three messages."""
    return Batch(3)


@pytest.fixture
def entries(batch):
    """Its messages: two with the same id and queue, and another."""
    told = (("a", b"1"), ("a", b"2"), ("b", b"3"))
    return [
        UnconfirmedMessage(batch, Outgoing(queue="q", body=body, id=name)) for name, body in told
    ]


@pytest.fixture
def sent(entries):
    """All three, sent on one channel."""
    sent = Sent()
    for entry in entries:
        sent.add(entry)
    return sent


def test_a_confirm_is_about_one_message_or_all_up_to_it(sent, entries):
    """Each is given once; a confirm of what is not known is about nothing."""
    assert sent.take(2, multiple=False) == [entries[1]]
    assert sent.take(2, multiple=False) == []
    assert sent.take(3, multiple=True) == [entries[0], entries[2]]
    assert sent.take(3, multiple=True) == []


def test_tags_begin_anew_with_a_channel(sent, entries):
    """After the last channel's messages have failed."""
    sent.fail("the channel was closed")
    sent.begin()
    sent.add(entries[2])

    assert sent.take(1, multiple=True) == [entries[2]]


def test_a_return_marks_one_message(sent, entries):
    """Where several have its id, each return is about another of them."""
    sent.mark_returned("a", "elsewhere")
    assert [entry.is_returned for entry in entries] == [False, False, False]

    sent.mark_returned("a", "q")
    assert [entry.is_returned for entry in entries] == [True, False, False]

    sent.mark_returned("a", "q")
    assert [entry.is_returned for entry in entries] == [True, True, False]


def test_a_caller_waits_for_the_last_of_its_messages(batch, entries):
    """And for no more; one that failed does not let it go before the others are known."""
    entries[0].refuse(BrokerUnavailable("the queue is full"))
    entries[1].confirm()
    assert not batch.done.is_set()

    entries[2].confirm()
    assert batch.done.is_set()
    assert [entry.is_confirmed for entry in entries] == [False, True, True]


def test_what_will_not_be_confirmed_lets_the_caller_go(sent, batch, entries):
    """With the reason, as an error that says to try again; RabbitMQ may have it all the same."""
    for entry in entries:
        entry.may_arrive = True

    sent.fail("the channel was closed")

    assert batch.done.is_set()
    assert {type(entry.error) for entry in entries} == {BrokerUnavailable}
    assert "the channel was closed" in str(entries[0].error)
    assert [entry.may_arrive for entry in entries] == [True] * 3


def test_what_was_refused_does_not_arrive(entries):
    """RabbitMQ has said so."""
    entries[0].may_arrive = True

    entries[0].refuse(BrokerUnavailable("the queue is full"))

    assert not entries[0].may_arrive


def test_replies_without_a_taker_are_told_apart(batch, entries):
    """No queue, or one that refused; both are confirmed all the same."""
    entries[0].is_returned = True
    entries[0].conclude(is_ack=True)
    entries[1].conclude(is_ack=False)
    entries[2].conclude(is_ack=True)

    assert batch.undelivered.no_queue == [entries[0].message]
    assert batch.undelivered.refused == [entries[1].message]
    assert batch.done.is_set()


def test_a_queue_is_stuck_that_confirms_nothing_while_something_waits(batch, entries):
    """One message alone may wait while those after it are confirmed; other queues say nothing of it."""
    now = [100.0]
    sent = Sent(lambda: now[0])
    other = UnconfirmedMessage(batch, Outgoing(queue="other", body=b"4", id="c"))
    for entry in (*entries, other):
        sent.add(entry)

    now[0] = 107
    assert sent.stuck(7) == ""
    sent.take(3, multiple=False)
    now[0] = 108
    assert sent.stuck(7) == "other"
    sent.take(4, multiple=False)
    assert sent.stuck(7) == ""
    now[0] = 115
    assert sent.stuck(7) == "q"
    sent.fail("lost")
    assert sent.stuck(7) == ""
