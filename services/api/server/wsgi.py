"""Calls the application for a request that is whole, and gives its answer to the connection; in a thread."""

import io
import logging
import sys
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from structlog.contextvars import clear_contextvars, get_contextvars

from services.api.context import HAS_LEFT
from services.api.server.incoming import Incoming, RejectedRequest, refusal
from taskyard.message import new_id

logger = logging.getLogger(__name__)

_FAILED = RejectedRequest("internal", "internal error; the log has the details")


class ClientLeft(Exception):
    """The client has closed the connection, or was cut off."""


class Connection(Protocol):
    """What takes the answer; called from the thread that computes it."""

    #: Address and port of the client, and ours.
    peer: tuple[str, int]
    local: tuple[str, int]

    def has_left(self) -> bool:
        """Return whether the client has closed its side."""

    def will_close(self) -> bool:
        """Return whether no other request is taken after this."""

    def answer(self, *parts: bytes, is_last: bool) -> None:
        """Send a whole answer, or the end of one."""

    def send(self, part: bytes) -> None:
        """Send a part of an answer, and wait until the client has room for more.

        Raises:
            ClientLeft: If the client has left.
        """


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def environ_of(request: Incoming, connection: Connection) -> dict[str, Any]:
    """Return the request as WSGI has it (PEP 3333)."""
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": str(unquote_to_bytes(path), "latin-1") if "%" in path else path,
        "QUERY_STRING": query,
        "RAW_URI": request.target,
        "SERVER_PROTOCOL": "HTTP/1.1" if request.is_http_1_1 else "HTTP/1.0",
        "SERVER_NAME": connection.local[0],
        "SERVER_PORT": str(connection.local[1]),
        "REMOTE_ADDR": connection.peer[0],
        "REMOTE_PORT": str(connection.peer[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        HAS_LEFT: connection.has_left,
    }
    for name, value in request.headers:
        if b"_" in name:
            continue  # one with a hyphen there would look the same
        text = str(value, "latin-1")
        if name == b"content-type":
            environ["CONTENT_TYPE"] = text
        elif name == b"content-length":
            environ["CONTENT_LENGTH"] = text
        else:
            key = f"HTTP_{str(name, 'latin-1').upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    if request.host is not None:
        environ["HTTP_HOST"] = request.host
    return environ


def serve(application: Application, request: Incoming, connection: Connection) -> None:
    """Have the request answered."""
    clear_contextvars()  # the thread has served others
    call = _Call(request, connection)
    try:
        call.run(application)
    except ClientLeft:
        logger.debug("a client left before it had its answer")
    except Exception:
        request_id = get_contextvars().get("request_id") or new_id()
        logger.exception("request failed", extra={"request_id": request_id})
        connection.answer(b"" if call.has_begun else refusal(_FAILED, request_id), is_last=True)


class _Call:
    """One call of the application."""

    def __init__(self, request: Incoming, connection: Connection) -> None:
        self._request = request
        self._connection = connection
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        #: Whether a part of the answer is sent.
        self.has_begun = False

    def run(self, application: Application) -> None:
        answer = application(environ_of(self._request, self._connection), self._start)
        try:
            names = {name.lower() for name, _ in self._headers}
            code = self._status[:3]
            has_body = code[:1] != "1" and code not in ("204", "304")
            if "content-length" in names or not has_body or self._request.method == "HEAD":
                self._whole(b"".join(answer))
            else:
                self._in_parts(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        self._status, self._headers = status, headers
        return self._connection.send

    def _whole(self, body: bytes) -> None:
        is_last = self._connection.will_close()
        self._connection.answer(self._head(is_last=is_last), body, is_last=is_last)

    def _in_parts(self, answer: Iterable[bytes]) -> None:
        """Send each part as it comes: in chunks, or to a client that knows none until the connection ends."""
        if not self._request.is_http_1_1:
            self._connection.send(self._head(is_last=True))
            for part in answer:
                self._connection.send(part)
            self._connection.answer(is_last=True)
            return
        is_last = self._connection.will_close()
        self._connection.send(self._head(is_last=is_last, coding="chunked"))
        for part in answer:
            if part:
                self._connection.send(b"%x\r\n%s\r\n" % (len(part), part))
        self._connection.answer(b"0\r\n\r\n", is_last=is_last)

    def _head(self, *, is_last: bool, coding: str = "") -> bytes:
        self.has_begun = True
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Date: {formatdate(usegmt=True)}",
            f"Connection: {'close' if is_last else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in self._headers),
        ]
        if coding:
            lines.append(f"Transfer-Encoding: {coding}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
