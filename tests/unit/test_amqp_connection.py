"""How a connection writes: each frame at once, or many together."""

import pytest

from taskyard.rabbitmq.connection import Connection


class Wire:
    """Stands where pika has the socket."""

    def __init__(self):
        self.writes = []

    def write(self, data):
        self.writes.append(data)


@pytest.fixture
def wire():
    """What the connection has written."""
    return Wire()


@pytest.fixture
def connection(wire):
    """A connection that connects to nothing."""
    connection = Connection(internal_connection_workflow=False)
    connection._transport = wire  # type: ignore[attr-defined]  # of pika: the stubs leave it out
    yield connection
    connection.ioloop.close()


def test_frames_are_written_as_they_come(connection, wire):
    """By default: an acknowledgement is one frame."""
    for frame in (b"a", b"b"):
        connection._adapter_emit_data(frame)

    assert wire.writes == [b"a", b"b"]


def test_gathered_frames_are_written_together(connection, wire):
    """In their order, at the end; what comes later is written at once again."""
    with connection.gathering():
        for frame in (b"a", b"b"):
            connection._adapter_emit_data(frame)
        assert wire.writes == []
    connection._adapter_emit_data(b"c")

    assert wire.writes == [b"ab", b"c"]


def test_nothing_gathered_is_nothing_written(connection, wire):
    """The socket takes no empty write."""
    with connection.gathering():
        pass

    assert wire.writes == []


def test_what_was_gathered_before_an_error_is_written(connection, wire):
    """These are whole messages, and their confirms are awaited."""

    def write_and_fail():
        with connection.gathering():
            connection._adapter_emit_data(b"a")
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        write_and_fail()

    assert wire.writes == [b"a"]
