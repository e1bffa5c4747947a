"""The links of `make faults`: what passes in which mode, and what becomes of that which did not."""

import socket
import socketserver
import threading
from contextlib import suppress

import pytest

from taskyard.local_servers.ports import LOOPBACK
from tests.nemesis.links import Links
from tests.polling import poll


class Shouter(socketserver.ThreadingTCPServer):
    """Answers each line in capitals, and remembers it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        self.heard = []
        super().__init__((LOOPBACK, 0), Answering)


class Answering(socketserver.StreamRequestHandler):
    server: Shouter

    def handle(self):
        with suppress(ConnectionError):  # cut
            for line in self.rfile:
                self.server.heard.append(line)
                self.wfile.write(line.upper())


@pytest.fixture
def server():
    with Shouter() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def links():
    links = Links()
    links.start()
    yield links
    links.stop()


@pytest.fixture
def port(server, links) -> int:
    """The port of a link to the server."""
    return links.open("link", server.server_address[1])


@pytest.fixture
def connection(port):
    """A connection to the server, by a link that passes."""
    with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"HELLO\n"
        yield connection


def is_silent(connection) -> bool:
    """Return whether nothing comes for a moment."""
    connection.settimeout(0.05)
    try:
        connection.recv(100)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(30)
    return False


def test_what_is_sent_through_a_mute_link_arrives_and_its_answer_does_not(
    connection, links, server
):
    """It comes when the link passes again, to whoever still waits for it."""
    links.set_mode("link", "mute")
    connection.sendall(b"one\n")

    poll(lambda: b"one\n" in server.heard)
    assert is_silent(connection)
    links.set_mode("link", "pass")
    assert connection.recv(100) == b"ONE\n"


def test_what_is_sent_into_a_hole_waits_there(connection, links, server):
    """Nobody is told, and it arrives when the hole is closed."""
    links.set_mode("link", "hole")
    connection.sendall(b"one\n")

    assert is_silent(connection)
    assert server.heard == [b"hello\n"]
    links.set_mode("link", "pass")
    assert connection.recv(100) == b"ONE\n"


def test_what_a_mute_link_held_is_gone_when_it_is_cut(connection, links, server, port):
    """The connection is reset, and a new one passes."""
    links.set_mode("link", "mute")
    connection.sendall(b"one\n")
    poll(lambda: b"one\n" in server.heard)

    links.cut("link")

    with pytest.raises(ConnectionResetError):
        connection.recv(100)
    links.set_mode("link", "pass")
    with socket.create_connection((LOOPBACK, port), timeout=30) as another:
        another.sendall(b"two\n")
        assert another.recv(100) == b"TWO\n"
