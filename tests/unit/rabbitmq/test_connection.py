"""How a connection writes: each frame at once, or many together."""

import pika
import pytest

from taskyard.rabbitmq.connection import AmqpConnection


class Unconnected(pika.SelectConnection):
    """pika's connection with a list where it has the socket, which is for a subclass to say."""

    def __init__(self):
        super().__init__(internal_connection_workflow=False)
        self.writes = []

    def _adapter_emit_data(self, data):
        self.writes.append(data)


class Written(AmqpConnection, Unconnected):
    """Ours above it, handed frames as pika does."""

    def emit(self, frame):
        self._adapter_emit_data(frame)


@pytest.fixture
def connection():
    """A connection that connects to nothing."""
    connection = Written()
    yield connection
    connection.ioloop.close()


def test_frames_are_written_as_they_come(connection):
    """By default: an acknowledgement is one frame."""
    for frame in (b"a", b"b"):
        connection.emit(frame)

    assert connection.writes == [b"a", b"b"]


def test_gathered_frames_are_written_together(connection):
    """In their order, at the end; what comes later is written at once again."""
    with connection.gathering():
        for frame in (b"a", b"b"):
            connection.emit(frame)
        assert connection.writes == []
    connection.emit(b"c")

    assert connection.writes == [b"ab", b"c"]


def test_nothing_gathered_is_nothing_written(connection):
    """The socket takes no empty write."""
    with connection.gathering():
        pass

    assert connection.writes == []


def test_what_was_gathered_before_an_error_is_written(connection):
    """These are whole messages, and their confirms are awaited."""

    def write_and_fail():
        with connection.gathering():
            connection.emit(b"a")
            raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        write_and_fail()

    assert connection.writes == [b"a"]
