"""Health and metrics over HTTP for the services that are not the API.

Nothing here ever waits for a client, so the worker's supervisor, which has one thread, can serve beside its
other work, and a slow client is in nobody's way.
"""

import json
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, parse_headers
from io import BytesIO

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from taskyard.runtime.browsers import SECURITY_HEADERS, is_own_host

logger = logging.getLogger(__name__)

#: A request may take so long, an answer that much beside its size, at this rate. Seconds, bytes a second.
PATIENCE_S = 5.0
BYTES_PER_S = 64 * 1024
#: How long we go on reading after the answer: it could be lost if we closed with something unread. Seconds.
LINGER_S = 1.0
#: Clients at a time, in all and from one address; with more the one that came first goes.
CLIENTS = 64
CLIENTS_PER_ADDRESS = 16
#: Largest head of a request. Bytes.
HEAD_BYTES = 16_384
#: How long a thread of its own waits for the next client, before it looks for slow ones. Seconds.
LOOK_S = 0.25
#: Connections that wait to be taken.
BACKLOG = 128

Problems = Callable[[], Sequence[str]]


class HealthServer:
    """Answers `/healthz` (the process works), `/readyz` (it serves) and `/metrics`.

    Either `start` has it served by a thread of its own, or who has none waits for `fileno` and calls `step`.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        registry: The metrics.
        sick: What is wrong with the process; empty if it works.
        unready: What keeps it from serving; empty if it serves.
        hosts: Names that `/metrics` may be asked by, besides those of loopback and our own address; `*`: any.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        sick: Problems,
        unready: Problems,
        hosts: Collection[str] = (),
    ) -> None:
        self._registry = registry
        self._probes = {"/healthz": sick, "/readyz": unready}
        self._hosts = {host.lower(), *(each.lower() for each in hosts)}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        #: In the order in which they came.
        self._clients: dict[_Client, None] = {}
        self._unanswered: deque[_Client] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def fileno(self) -> int:
        """Return what is readable once there is something to do."""
        return self._selector.fileno()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer that the next step makes."""
        return bool(self._unanswered)

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def step(self, timeout_s: float = 0.0) -> None:
        """Do what can be done without waiting for a client, one answer at most; first wait for something."""
        for key, _ in self._selector.select(0.0 if self._unanswered else timeout_s):
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._attend(key.data)
        if self._unanswered:
            self._answer(self._unanswered.popleft())
        now = time.monotonic()
        for client in [each for each in self._clients if each.deadline <= now]:
            self._drop(client)

    def start(self) -> None:
        """Serve from a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port; safe to call twice, and without `start`."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.close()

    def close(self) -> None:
        """Let go of the port and of all clients; a forked process does so for itself alone."""
        self._selector.close()
        self._listener.close()
        for client in self._clients:
            client.socket.close()
        self._clients.clear()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step(LOOK_S)
            except Exception:
                logger.exception("health is not told")
                self._stopping.wait(LOOK_S)

    def _accept(self) -> None:
        try:
            accepted, (address, *_) = self._listener.accept()
        except OSError:  # it has left again; or no file is left, and another client has to go
            if len(self._clients) >= CLIENTS_PER_ADDRESS:
                self._drop(next(iter(self._clients)))
            return
        accepted.setblocking(False)
        client = _Client(accepted, address)
        self._clients[client] = None
        self._selector.register(accepted, selectors.EVENT_READ, client)
        same = [each for each in self._clients if each.address == address]
        if len(same) > CLIENTS_PER_ADDRESS:
            self._drop(same[0])
        elif len(self._clients) > CLIENTS:
            self._drop(next(iter(self._clients)))

    def _attend(self, client: "_Client") -> None:
        """Go on with a client that has sent something, or has taken something."""
        if client not in self._clients:  # dropped a moment ago
            return
        try:
            if client.unsent:
                self._send(client)
            elif client.read():
                self._selector.unregister(client.socket)
                self._unanswered.append(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
        except Exception:
            logger.exception("a client of health is dropped")
            self._drop(client)

    def _answer(self, client: "_Client") -> None:
        if client not in self._clients:
            return
        try:
            client.unsent = memoryview(self._response(client))
        except Exception:
            logger.exception("a request for health failed")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            client.unsent = memoryview(_response(status, "text/plain", b"internal error\n"))
        client.deadline = time.monotonic() + PATIENCE_S + len(client.unsent) / BYTES_PER_S
        self._selector.register(client.socket, selectors.EVENT_WRITE, client)
        self._attend(client)

    def _send(self, client: "_Client") -> None:
        client.unsent = client.unsent[client.socket.send(client.unsent) :]
        if not client.unsent:
            client.end()
            self._selector.modify(client.socket, selectors.EVENT_READ, client)

    def _drop(self, client: "_Client") -> None:
        del self._clients[client]
        with suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.socket.close()

    def _response(self, client: "_Client") -> bytes:
        request = _parsed(bytes(client.received))
        if request is None:
            return _response(HTTPStatus.BAD_REQUEST, "text/plain", b"this is no request\n")
        method, path, headers = request
        if method not in ("GET", "HEAD"):
            text = b"only GET and HEAD are possible here\n"
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", text)
        answer = self._page(path, headers, client)
        return answer if method == "GET" else answer[: answer.index(b"\r\n\r\n") + 4]

    def _page(self, path: str, headers: HTTPMessage, client: "_Client") -> bytes:
        if path == "/metrics":
            address = str(client.socket.getsockname()[0])
            for host in headers.get_all("Host", []):
                if not is_own_host(host, self._hosts, address=address):
                    refusal = f"metrics are not told by the name {host[:100]!r}"
                    text = f"{refusal}, unless METRICS_HOSTS has it\n".encode()
                    return _response(HTTPStatus.FORBIDDEN, "text/plain", text)
            return _response(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry))
        if path in self._probes:
            problems = list(self._probes[path]())
            body = json.dumps({"ok": not problems, "problems": problems}).encode()
            status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
            return _response(status, "application/json", body)
        text = b"try /healthz, /readyz or /metrics\n"
        return _response(HTTPStatus.NOT_FOUND, "text/plain", text)


class _Client:
    """A connection: it sends one request, takes one answer, and ends."""

    def __init__(self, accepted: socket.socket, address: str) -> None:
        self.socket = accepted
        self.address = address
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.deadline = time.monotonic() + PATIENCE_S
        self._is_ending = False

    def read(self) -> bool:
        """Take what has come; return whether it is a whole head.

        Raises:
            OSError: If the client has left, or sends too much.
        """
        data = self.socket.recv(HEAD_BYTES)
        if not data:
            raise ConnectionResetError("the client has left")
        if self._is_ending:
            return False
        self.received += data
        if b"\r\n\r\n" in self.received:
            return True
        if len(self.received) > HEAD_BYTES:
            raise ConnectionAbortedError("the head is too large")
        return False

    def end(self) -> None:
        """Tell the client that this was all, and let it leave first."""
        self._is_ending = True
        self.deadline = time.monotonic() + LINGER_S
        self.socket.shutdown(socket.SHUT_WR)


def _parsed(received: bytes) -> tuple[str, str, HTTPMessage] | None:
    """Return method, path without query, and headers; None if there are none."""
    line, _, rest = received.partition(b"\r\n")
    try:
        method, target, _ = line.decode("ascii").split(" ")
        return method, target.partition("?")[0], parse_headers(BytesIO(rest))
    except (ValueError, HTTPException):
        return None


def _response(status: HTTPStatus, content_type: str, body: bytes) -> bytes:
    headers = {
        "Connection": "close",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **SECURITY_HEADERS,
    }
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body
