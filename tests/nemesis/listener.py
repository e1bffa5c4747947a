"""Who listens to the stream of events, and counts the ends that it tells of each job."""

import http.client
import json
import socket
import threading
from contextlib import suppress

from taskyard.local_servers.ports import LOOPBACK
from tests.nemesis.book import Book

PATH = "/v1/events?state=completed,failed,cancelled,expired"
#: Longer than the API is ever silent.
TIMEOUT_S = 20.0
RECONNECT_AFTER_S = 0.5


class Listener:
    """Listens in a thread of its own, and connects again when it has to.

    Args:
        port: Of the API.
        book: Where ends are counted.
    """

    def __init__(self, port: int, book: Book) -> None:
        self._port = port
        self._book = book
        self._is_over = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Return once nobody listens any more."""
        self._is_over.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        while not self._is_over.is_set():
            connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_S)
            self._connection = connection
            try:
                connection.request("GET", PATH)
                with connection.getresponse() as answer:
                    self._read(answer)
            except (OSError, http.client.HTTPException, ValueError):
                pass  # the API is away, or was shot in the middle of a line
            finally:
                connection.close()
            self._is_over.wait(RECONNECT_AFTER_S)

    def _read(self, answer: http.client.HTTPResponse) -> None:
        while (line := answer.readline()) and not self._is_over.is_set():
            if line.startswith(b"event: missed"):
                self._book.missed_events += 1
            elif line.startswith(b"data: {"):
                told = json.loads(line.removeprefix(b"data: "))
                if "id" in told:
                    self._book.ends_told[told["id"]] += 1
