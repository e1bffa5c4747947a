"""Properties as RabbitMQ hands them on: all that can be read is, and nothing that is sent raises."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame

from taskyard.rabbitmq import lenient
from taskyard.rabbitmq.queue_move.verbatim import VerbatimProperties, without_headers
from tests.poison import (
    NAMES,
    RawProperties,
    field,
    long_bytes,
    nested_arrays,
    nested_tables,
    raw,
    short_bytes,
    timestamp,
)

#: A second is as good as none: the year 58,692, and past the range of every clock.
LATE = [1_790_000_000_000, 2**64 - 1]
POISONS = {
    "a time in milliseconds": timestamp(LATE[0]),
    "a time past all clocks": timestamp(LATE[1]),
    "tables in tables": nested_tables(3000),
    "as deep as a frame allows": nested_tables(21_000),
    "arrays in arrays": nested_arrays(3000),
    "a time within an array": field(b"a", b"A", long_bytes(b"T" + b"\xff" * 8)),
}
each_poison = pytest.mark.parametrize("headers", POISONS.values(), ids=POISONS.keys())

_SIMPLE = [(b"t", 1), (b"b", 1), (b"B", 1), (b"s", 2), (b"u", 2), (b"I", 4), (b"i", 4), (b"l", 8)]
_SIMPLE += [(b"L", 8), (b"f", 4), (b"d", 8), (b"D", 5), (b"T", 8), (b"V", 0)]
_names = st.binary(max_size=8)
_plain = st.sampled_from(_SIMPLE).flatmap(
    lambda it: st.binary(min_size=it[1], max_size=it[1]).map(lambda value: it[0] + value)
)
_texts = st.tuples(st.sampled_from([b"S", b"x"]), st.binary(max_size=20)).map(
    lambda it: it[0] + long_bytes(it[1])
)
_values = st.recursive(
    _plain | _texts,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: b"A" + long_bytes(b"".join(items)))
        | st.lists(st.tuples(_names, inner), max_size=4).map(
            lambda items: b"F" + long_bytes(b"".join(short_bytes(n) + v for n, v in items))
        )
    ),
)


#: One of each property, as `raw` takes them.
ALL = {
    "content_type": b"text/plain",
    "content_encoding": b"utf-8",
    "headers": field(b"before", b"t", b"\x01"),
    "delivery_mode": b"\x02",
    "priority": b"\x05",
    "correlation_id": b"correlation",
    "reply_to": b"reply",
    "expiration": b"1000",
    "message_id": b"id-1",
    "timestamp": struct.pack(">Q", LATE[0]),
    "type": b"task",
    "user_id": b"guest",
    "app_id": b"app",
    "cluster_id": b"cluster",
}
#: Those of the lowest two bits of the flags that say nothing; to pika the lower says "more flags follow".
each_spare = pytest.mark.parametrize("spare", [1, 2, 3])


def filled(properties):
    """Return what is read of raw properties."""
    found = BasicProperties()
    lenient.fill(found, properties.raw)
    return found


@each_poison
def test_all_else_is_read(headers):
    """A header that cannot be read is left out; those around it, and the properties, are there."""
    around = field(b"before", b"t", b"\x01"), field(b"after", b"S", long_bytes(b"text"))

    found = filled(
        raw(
            content_type=b"text/plain",
            content_encoding=b"utf-8",
            headers=around[0] + headers + around[1],
            delivery_mode=b"\x02",
            priority=b"\x05",
            message_id=b"id-1",
            timestamp=struct.pack(">Q", LATE[0]),
        )
    )

    assert found.headers == {"before": True, "after": "text"}
    assert (found.content_type, found.content_encoding) == ("text/plain", "utf-8")
    assert (found.delivery_mode, found.priority, found.message_id) == (2, 5, "id-1")
    assert found.timestamp == LATE[0]


@each_poison
def test_a_header_frame_is_read_where_it_ends(headers):
    """What follows in the buffer is the next frame."""
    written = frame.Header(7, 11, raw(headers=headers, message_id=b"id-1")).marshal()

    read = lenient.read_header(written + b"next")

    assert read is not None
    end, found = read
    assert end == len(written)
    assert (found.channel_number, found.body_size) == (7, 11)
    assert found.properties.message_id == "id-1"


def test_other_frames_are_not_its_concern():
    """Nor is a frame that is not all there, or has no end: what pika cannot read of them is an error."""
    written = frame.Header(7, 11, raw(message_id=b"id-1")).marshal()

    assert lenient.read_header(frame.Heartbeat().marshal()) is None
    assert lenient.read_header(written[:-1] + b"\0") is None
    assert [lenient.read_header(written[:n]) for n in range(len(written))] == [None] * len(written)


@given(st.lists(st.tuples(_names, _values), max_size=5))
def test_any_table_is_read(entries):
    """Of any types, names and texts: never an error, and the property behind it is the same."""
    table = b"".join(short_bytes(name) + value for name, value in entries)

    found = filled(raw(headers=table, message_id=b"id-1"))

    assert found.message_id == "id-1"


@each_poison
def test_verbatim_properties_keep_what_cannot_be_read(headers):
    """Byte by byte, also where another header is taken out."""
    extra = field(b"x-delivery-count", b"l", struct.pack(">q", 1))
    sent = raw(headers=headers, message_id=b"id-1").raw
    delivered = raw(headers=extra + headers, message_id=b"id-1").raw

    kept = VerbatimProperties(without_headers(delivered, ["x-delivery-count"]))

    assert kept.encode() == [sent]
    assert kept.message_id == "id-1"


@each_spare
def test_bits_of_no_property_say_nothing(spare):
    """RabbitMQ takes them, and hands them on; what is given is read as without them."""
    sent = raw(flags=bytes([spare]), **ALL)

    found = filled(sent)

    assert found == filled(raw(**ALL)) == BasicProperties().decode(raw(**ALL).raw)
    assert VerbatimProperties(sent.raw).encode() == [sent.raw]


@each_spare
@given(content_type=st.binary(max_size=3), message_id=st.text(max_size=8))
def test_no_text_is_taken_for_flags(spare, content_type, message_id):
    """Nor is one property taken for another, where that too could be read."""
    frame_bytes = frame.Header(
        1, 2, raw(flags=bytes([spare]), content_type=content_type, message_id=message_id.encode())
    ).marshal()

    read = lenient.read_header(frame_bytes)

    assert read is not None
    assert read[1].properties.message_id == message_id


@each_spare
def test_a_header_is_taken_out_beside_bits_of_no_property(spare):
    """All else stays byte by byte, the flags too."""
    extra = field(b"x-delivery-count", b"l", struct.pack(">q", 1))
    sent = raw(flags=bytes([spare]), **ALL)
    delivered = raw(flags=bytes([spare]), **{**ALL, "headers": extra + ALL["headers"]})

    assert without_headers(delivered.raw, ["x-delivery-count"]) == sent.raw


@each_spare
def test_what_is_cut_off_counts_as_not_given(spare):
    """All before it is read."""
    whole = raw(flags=bytes([spare]), **ALL)
    everything = [getattr(filled(whole), name) for name in NAMES]
    ends = [len(raw(**dict(list(ALL.items())[:count])).raw) for count in range(len(ALL) + 1)]

    for end in range(len(whole.raw)):
        found = filled(RawProperties(whole.raw[:end]))
        count = sum(each <= end for each in ends[1:])
        cut = everything[:count] + [None] * (len(NAMES) - count)
        assert [getattr(found, name) for name in NAMES] == cut


@given(st.integers(min_value=0, max_value=0xFFFF), st.binary(max_size=60))
def test_any_bytes_are_properties(flags, rest):
    """Whatever is in them: the frame is read to its end, and they are sent as they came."""
    sent = RawProperties(flags.to_bytes(2) + rest)
    written = frame.Header(7, 11, sent).marshal()

    read = lenient.read_header(written + b"next")

    assert read is not None
    assert (read[0], read[1].body_size) == (len(written), 11)
    assert VerbatimProperties(sent.raw).encode() == [sent.raw]
    assert len(without_headers(sent.raw, ["x-death"])) <= len(sent.raw)


@given(st.binary(max_size=60))
def test_headers_of_any_bytes_hide_nothing_behind_them(table):
    """A table that is none is left out; its length says where the next property is."""
    assert filled(raw(headers=table, message_id=b"id-1")).message_id == "id-1"


def test_no_properties_at_all():
    """Not even flags."""
    assert filled(RawProperties(b"")) == filled(RawProperties(b"\x80")) == BasicProperties()


@pytest.mark.parametrize(
    "sent",
    [
        raw(headers=field(b"odd", b"?", b"")),
        raw(headers=b"\x05cut"),
        RawProperties(raw(headers=field(b"x-death", b"V", b"")).raw[:-1]),
        raw(content_type=b"text"),
    ],
    ids=["unknown type", "cut name", "cut table", "none"],
)
def test_headers_that_cannot_be_told_apart_stay(sent):
    """A message is moved with all that it has."""
    assert without_headers(sent.raw, ["x-death"]) == sent.raw
