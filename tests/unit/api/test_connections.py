"""Connections of the API: what slow, many and malformed clients may do, and what they are told."""

import asyncio
import json
import re
import select
import socket
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPResponse

import pytest

from services.api.server import connection as http_connection
from services.api.server import crowd, wsgi
from services.api.server.connection import Host, HttpConnection
from services.api.server.crowd import Bounds, Crowd
from services.api.server.incoming import Incoming
from tests.polling import poll

MAX_BODY_BYTES = 100_000
LARGE = b"x" * 20_000_000


class App:
    """Answers by path; one request at a time may be held up."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.go_on = threading.Event()
        self.stream_has_ended = threading.Event()

    def __call__(self, environ, start):
        path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
        self.seen.append((path, body))
        if path == "/stream":
            start("200 OK", [("Content-Type", "text/plain")])
            return self._stream()
        if path == "/failing":
            raise RuntimeError
        if path.startswith("/held"):
            self.go_on.wait(30)
        text = LARGE if path.endswith("/large") else b"%s %s" % (path.encode(), body)
        start("200 OK", [("Content-Length", str(len(text)))])
        return [text]

    def _stream(self):
        try:
            while True:
                yield b"y" * 100_000
        finally:
            self.stream_has_ended.set()


class Server:
    """The API's connections around an application, on a port of its own."""

    def __init__(self, app: App, bounds: Bounds) -> None:
        self._loop = asyncio.new_event_loop()
        self.crowd = Crowd(bounds, self._loop.time)
        self._pool = ThreadPoolExecutor(2)
        host = Host(
            self._loop,
            self.crowd,
            lambda connection, request: self._submit(app, request, connection),
            partial(Incoming, MAX_BODY_BYTES, "SOME_SETTING"),
            lambda: False,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        http_connection.keep_little_unsent(listener)
        self.port = listener.getsockname()[1]
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: HttpConnection(host), sock=listener)
        )
        self._task = self._loop.create_task(self._sweep())
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _submit(self, app, request, connection):
        self._pool.submit(wsgi.serve, app, request, connection)

    async def _sweep(self):
        while True:
            self.crowd.sweep()
            await asyncio.sleep(0.01)

    def stop(self):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self.crowd.abort)
        poll(lambda: len(self.crowd) == 0)
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._loop.call_soon_threadsafe(self._loop.call_soon, self._loop.stop)
        self._thread.join()
        self._pool.shutdown()
        self._loop.close()

    def connect(self, sent: bytes = b"", *, window_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        if window_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        client.settimeout(30)
        client.connect(("127.0.0.1", self.port))
        client.sendall(sent)
        return client


@pytest.fixture
def app():
    return App()


@pytest.fixture
def serve(app, monkeypatch):
    """A function that starts a server."""
    monkeypatch.setattr(http_connection, "LINGER_S", 0.1)
    be_patient(monkeypatch, 600)
    servers = []

    def start(*, connections=100, unfinished=0, held_bytes=50_000_000):
        servers.append(Server(app, Bounds(connections, unfinished, held_bytes)))
        return servers[-1]

    yield start
    app.go_on.set()
    for server in servers:
        server.stop()


@pytest.fixture
def impatient(monkeypatch):
    """Give clients little time."""
    be_patient(monkeypatch, 0.2)


def be_patient(monkeypatch, seconds: float) -> None:
    for name in ("crowd", "connection", "incoming"):
        monkeypatch.setattr(f"services.api.server.{name}.PATIENCE_S", seconds)


def ask(path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(client: socket.socket) -> tuple[int, bytes]:
    """Return status and body of the next answer."""
    response = HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def code(client: socket.socket) -> tuple[int, str]:
    """Return status and code of a refusal, after which the connection ends."""
    status, body = answer(client)
    assert client.recv(1) == b""
    client.close()
    return status, json.loads(body)["code"]


def test_requests_of_one_connection_are_answered_in_turn(serve, app):
    """Also those that were sent before they were asked for, and each with its own body."""
    sent = ask("/a", b"1") + ask("/b", b"22") + ask("/c", b"", "Connection: close")
    with serve().connect(sent) as client, client.makefile("rb") as file:
        found = file.read()

    assert re.findall(rb"\r\n\r\n(/. ?\d*)", found) == [b"/a 1", b"/b 22", b"/c "]
    assert app.seen == [("/a", b"1"), ("/b", b"22"), ("/c", b"")]


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"0\r\n\r\n", b"POST /smuggled HTTP/1.1\r\nHost: x\r\n"]
)
def test_what_follows_a_request_is_never_a_part_of_it(serve, app, garbage):
    """The request is answered, and garbage after it is refused for itself or never becomes a request."""
    with serve().connect(ask("/a", b"1") + garbage) as client:
        client.shutdown(socket.SHUT_WR)
        assert answer(client) == (200, b"/a 1")

    assert app.seen == [("/a", b"1")]


def test_a_refused_body_is_not_taken_for_a_request(serve, app):
    """The connection ends with the refusal, which arrives though more was sent than was read."""
    smuggled = ask("/smuggled") * 1000
    body = ask("/a").replace(b"Content-Length: 0", b"Content-Length: 99999999")
    with serve().connect(body + smuggled) as client:
        assert code(client) == (413, "too_large")

    assert app.seen == []


@pytest.mark.parametrize("part", [b"POST /a HTTP/1.1\r\nHost: ", ask("/a", b"x" * 50)[:-20]])
def test_who_sends_slowly_is_told_so(serve, app, impatient, part):
    """Whatever trickles in, of the head or of the body; no thread has seen it."""
    client = serve().connect(part[:10])
    client.sendall(part[10:])

    assert code(client) == (408, "request_timeout")
    assert app.seen == []


def test_who_sends_nothing_is_cut_off(serve, impatient):
    """Without an answer: nothing was asked."""
    with serve().connect() as client:
        assert client.recv(1) == b""


def test_who_takes_an_answer_slowly_holds_no_thread_and_is_cut_off(serve, impatient, monkeypatch):
    """Many do not keep one more request waiting, and none of them gets all of its answer."""
    monkeypatch.setattr(crowd, "BYTES_PER_S", 20_000_000)
    server = serve(held_bytes=400_000_000)
    slow = [server.connect(ask("/large"), window_bytes=2048) for _ in range(10)]

    with server.connect(ask("/a")) as client:
        assert answer(client) == (200, b"/a ")
    poll(lambda: len(server.crowd) == 0)
    for each in slow:
        each.close()


def holds(server: Server, count: int) -> bool:
    """Return whether so many clients are unfinished."""
    return server.crowd.unfinished == count


def test_answers_that_nobody_takes_are_bounded(serve):
    """The oldest ones go, as many as there is no room for; who holds little stays."""
    server = serve(held_bytes=5 * len(LARGE) // 2)
    small = server.connect(b"POST /")
    slow = []
    for number in range(1, 6):
        slow.append(server.connect(ask("/large"), window_bytes=2048))
        poll(partial(holds, server, min(number, 2) + 1))

    with server.connect(ask("/a")) as client:
        assert answer(client) == (200, b"/a ")
    assert server.crowd.unfinished == 3  # neither more nor fewer
    small.close()
    for each in slow:
        each.close()


def test_a_stream_that_nobody_reads_ends(serve, app, impatient):
    """Its thread and its place are free again."""
    with serve().connect(ask("/stream"), window_bytes=2048):
        assert app.stream_has_ended.wait(30)


def test_a_stream_whose_client_leaves_ends(serve, app):
    """At once, and the server serves on."""
    server = serve()
    with server.connect(ask("/stream")) as client:
        assert client.recv(1000)

    assert app.stream_has_ended.wait(30)


def test_of_too_many_from_one_address_the_slowest_goes(serve):
    """It is told why; the quick ones get through, and those that are idle do not count."""
    server = serve(unfinished=3)
    idle = [server.connect(ask("/a")) for _ in range(5)]
    assert {answer(each)[0] for each in idle} == {200}
    slow = [server.connect(b"POST /") for _ in range(3)]
    poll(lambda: server.crowd.unfinished == 3)

    with server.connect(ask("/a")) as client:
        assert answer(client)[0] == 200
    assert server.crowd.unfinished == 3
    slow.append(server.connect(b"POST /"))
    assert code(slow[0]) == (503, "too_many_connections")
    for each in (*idle, *slow):
        each.close()


def test_one_too_many_costs_one_however_many_there_are(serve, caplog):
    """Those that are told so are at their end: they push nobody out."""
    server = serve(connections=1000, unfinished=300)
    slow = [server.connect(b"POST /") for _ in range(300)]
    poll(lambda: server.crowd.unfinished == 300)

    slow.append(server.connect(b"POST /"))

    assert code(slow[0]) == (503, "too_many_connections")
    with server.connect(ask("/a")) as client:
        assert answer(client)[0] == 200
    assert select.select(slow[1:], [], [], 0)[0] == []
    assert caplog.text == ""
    for each in slow:
        each.close()


@pytest.mark.parametrize("path", ["/held", "/held/large"])
def test_a_client_that_has_left_unnoticed_leaves_nothing(serve, app, caplog, path):
    """Where so much of it is unread that nobody looks for more, its end is seen by the answer."""
    server = serve()
    client = server.connect(ask(path, b"", "Connection: close"))
    poll(lambda: app.seen)
    client.setblocking(False)
    with suppress(BlockingIOError):
        while client.send(b"x" * 65_536):
            pass
    client.close()

    app.go_on.set()

    poll(lambda: len(server.crowd) == 0)
    assert caplog.text == ""


def test_of_too_many_in_all_one_that_rests_goes(serve):
    """Rather than one that is at work, or a new one."""
    server = serve(connections=3)
    idle = [server.connect(ask("/a")) for _ in range(3)]
    assert [answer(each) for each in idle] == [(200, b"/a ")] * 3

    with server.connect(ask("/b")) as client:
        assert answer(client) == (200, b"/b ")

    assert sorted(each.recv(1) == b"" for each in idle[:1]) == [True]
    for each in idle:
        each.close()


def test_a_client_may_end_its_side_before_the_answer(serve, app):
    """As `nc -N` does; it still gets the answer."""
    with serve().connect(ask("/held")) as client:
        client.shutdown(socket.SHUT_WR)
        app.go_on.set()
        assert answer(client) == (200, b"/held ")
        assert client.recv(1) == b""


def test_a_body_is_asked_for_where_the_client_waits_for_that(serve):
    """Expect: 100-continue."""
    head = ask("/a", b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 3")
    with serve().connect(head) as client:
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert answer(client) == (200, b"/a abc")


@pytest.mark.parametrize(
    ("how", "piece"),
    [("Transfer-Encoding: chunked", b"14\r\n%s\r\n"), ("Content-Length: 40000", b"%s")],
)
def test_a_body_in_small_pieces_takes_no_more_than_its_bytes(how, piece):
    """What is counted as kept for it is what it takes."""
    incoming = Incoming(MAX_BODY_BYTES, "SOME_SETTING")
    incoming.feed(f"POST / HTTP/1.1\r\nHost: here\r\n{how}\r\n\r\n".encode())
    pieces = [piece % (b"%020d" % n) for n in range(1_500)]

    tracemalloc.start()
    for each in pieces:
        incoming.feed(each)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert incoming.body_bytes == 30_000
    assert kept_bytes < 1.5 * incoming.fed_bytes


def test_chunks_are_put_together(serve):
    """However they come."""
    head = b"POST /a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serve().connect(head + b"1\r\na\r\n") as client:
        client.sendall(b"2\r\nbc\r\n0\r\n\r\n")
        assert answer(client) == (200, b"/a abc")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nsecret\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n3;secret=\x00\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 60_000, 400),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: secret\r\n\r\n", 400),
        (b"Transfer-Encoding: secret\r\n\r\n", 501),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"secret header: 1\r\n\r\n", 400),
        (b"Content-Length: secret\r\n\r\n", 400),
        (b"Content-Length: " + b"1" * 5000 + b"\r\n\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"Expect: secret\r\n\r\n", 417),
        (b"X: " + b"secret" * 2000 + b"\r\n\r\n", 431),
        (b"X: secret\r\n" * 101 + b"\r\n", 431),
        (b"".join(b"X-%d: %s\r\n" % (n, b"secret" * 1200) for n in range(10)) + b"\r\n", 431),
        (b"Host: there\r\n\r\n", 400),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_text(serve, app, caplog, sent, status):
    """Neither the answer nor the log has any of it, and the connection ends."""
    with serve().connect(b"POST /a HTTP/1.1\r\nHost: here\r\n" + sent) as client:
        found, body = answer(client)

    assert found == status
    assert b"secret" not in body
    assert "secret" not in caplog.text
    assert app.seen == []


@pytest.mark.parametrize(
    "line",
    [
        "SECRET-ÄÖ / HTTP/1.1",
        "GET secret HTTP/1.1",
        "GET / SECRET/1",
        "GET http://[secret]/ HTTP/1.1",
        "GET secret://[::1/ HTTP/1.1",
    ],
)
def test_a_first_line_that_cannot_be_read_is_refused_without_its_text(serve, caplog, line):
    """As with headers."""
    with serve().connect(f"{line}\r\nHost: here\r\n\r\n".encode("latin-1")) as client:
        found, body = answer(client)

    assert found == 400
    assert not re.search(b"secret", body, re.IGNORECASE)
    assert caplog.text == ""


def test_a_whole_url_counts_as_its_path(serve):
    """As a proxy sends it."""
    with serve().connect(b"GET http://there/a HTTP/1.1\r\nHost: here\r\n\r\n") as client:
        assert answer(client) == (200, b"/a ")


def test_a_refused_request_has_one_line_in_the_log(serve, caplog):
    """With the id that the client is told, so that an operator finds it, and where it came from."""
    caplog.set_level("INFO")
    with serve().connect(ask("/a", b"", "Expect: secret")) as client:
        _, body = answer(client)

    (line,) = caplog.records
    assert (line.getMessage(), line.status, line.code) == (
        "request refused",
        417,
        "expectation_failed",
    )
    assert (line.request_id, line.address) == (json.loads(body)["request_id"], "127.0.0.1")


def test_a_failure_s_line_has_the_id_that_the_client_is_told(serve, caplog):
    """Of what fails outside of the application's own handling of errors."""
    with serve().connect(ask("/failing")) as client:
        status, body = answer(client)

    (line,) = caplog.records
    assert (status, line.getMessage()) == (500, "request failed")
    assert line.request_id == json.loads(body)["request_id"]


def test_a_request_of_http_1_1_has_a_host(serve):
    """RFC 9112, 3.2; one of HTTP/1.0 need not."""
    server = serve()
    with server.connect(b"GET /a HTTP/1.1\r\n\r\n") as client:
        assert answer(client)[0] == 400
    with server.connect(b"GET /a HTTP/1.0\r\n\r\n") as client:
        assert answer(client) == (200, b"/a ")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::2")],
)
def test_what_comes_from_one_client_is_known(one, other):
    """By its address, of IPv6 by its network."""
    assert crowd.origin(one) == crowd.origin(other)
    assert crowd.origin(one) != crowd.origin("2001:db8:1::1")
