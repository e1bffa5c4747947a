"""Looks at RabbitMQ, that many share."""

from concurrent.futures import ThreadPoolExecutor

from taskyard.rabbitmq.inspect import SharedProbe, probe

NOWHERE = "amqp://127.0.0.1:1/"


def test_a_look_at_a_broker_that_takes_messages(broker_url):
    """It leaves nothing behind."""
    assert probe(broker_url).kind == "ready"


def test_a_look_at_a_broker_that_is_away():
    """In the words of the connection."""
    state = probe(NOWHERE)
    assert state.kind == "away"
    assert "refused" in state.detail


def test_many_share_a_look():
    """Those that come soon after too, until it is old."""
    looks = SharedProbe(NOWHERE, ttl_s=60)
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: looks.state(), range(50)))
    assert {id(each) for each in states} == {id(states[0])}

    fresh = SharedProbe(NOWHERE, ttl_s=0)
    assert fresh.state() is not fresh.state()
