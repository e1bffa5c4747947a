"""Frames of deliveries, read without pika: it would read the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame
from pika.exceptions import AMQPError
from pika.spec import Basic

from taskyard.rabbitmq import frames

_texts = st.text(max_size=80) | st.binary(max_size=255)
_deliveries = st.builds(
    Basic.Deliver,
    consumer_tag=_texts,
    delivery_tag=st.integers(min_value=0, max_value=2**64 - 1),
    redelivered=st.booleans(),
    exchange=_texts,
    routing_key=_texts,
)
_channels = st.integers(min_value=0, max_value=0xFFFF)
FRAMES = {
    "delivery": frame.Method(3, Basic.Deliver("tag", 5, True, "from", "to")),
    "another method": frame.Method(3, Basic.QosOk()),
    "header": frame.Header(3, 4, BasicProperties(message_id="id-1")),
    "body": frame.Body(3, b"text"),
    "heartbeat": frame.Heartbeat(),
}
each_frame = pytest.mark.parametrize("sent", FRAMES.values(), ids=FRAMES.keys())


@each_frame
def test_a_frame_is_read_where_it_ends(sent):
    """What follows in the buffer is the next frame."""
    written = sent.marshal()

    assert frames.read(written + b"next") == frames.read(written) == (len(written), sent)


@each_frame
def test_half_a_frame_is_none_yet(sent):
    """More of it comes."""
    written = sent.marshal()

    assert [frames.read(written[:n]) for n in range(1, len(written))] == [(0, None)] * (
        len(written) - 1
    )


@each_frame
def test_a_frame_without_its_end_is_an_error(sent):
    """It is pika's."""
    with pytest.raises(AMQPError):
        frames.read(sent.marshal()[:-1] + b"\0")


@given(_channels, _deliveries)
def test_any_delivery_is_read_as_by_pika(channel, delivery):
    """Texts that are not UTF-8 among them, which it gives as bytes."""
    written = frame.Method(channel, delivery).marshal()

    assert frames.read(written + b"next") == frame.decode_frame(written)


@given(_channels, st.binary(max_size=60))
def test_any_body_is_read(channel, content):
    """Also an empty one, and one that looks like a frame."""
    written = frame.Body(channel, content).marshal()

    assert frames.read(written + b"next") == (len(written), frame.Body(channel, content))
