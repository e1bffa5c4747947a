"""gunicorn's threads with limits for slow clients, and with its own refusals told like all others."""

from http import HTTPStatus
from typing import Any

import msgspec
from gunicorn import util  # type: ignore[import-untyped]  # has no types
from gunicorn.http import errors  # type: ignore[import-untyped]  # has no types
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # has no types

from services.api.connections import bound_silence
from services.api.problems import CONTENT_TYPE
from services.api.request_log import REQUEST_ID_HEADER
from taskyard.message import new_id

#: A client that sends nothing of what it began, or takes nothing of its answer, for so long is cut off: it
#: has a thread to itself. Seconds.
STALLED_S = 30.0
#: What a request is refused for before any route sees it; all others: 400.
REFUSALS = {
    errors.LimitRequestLine: (HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long"),
    errors.LimitRequestHeaders: (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
    ),
    errors.ExpectationFailed: (HTTPStatus.EXPECTATION_FAILED, "expectation_failed"),
    errors.UnsupportedTransferCoding: (HTTPStatus.NOT_IMPLEMENTED, "unsupported_coding"),
}
_BAD = (HTTPStatus.BAD_REQUEST, "bad_request")
#: Ours, though they descend from errors of the client.
_OUR_FAULT = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class HttpWorker(ThreadWorker):  # type: ignore[misc]  # has no types
    """The worker process that `server` chooses."""

    def handle(self, conn: Any) -> Any:
        """Handle a request; called in a thread, for each request of a connection."""
        bound_silence(conn.sock, STALLED_S)
        return super().handle(conn)

    def is_parent_alive(self) -> bool:
        """Return whether the master lives. Once it does not, let go of the port: its successor wants it now.

        gunicorn would hold it until the last request is answered, and a new master waits for it 5 s only.
        """
        if super().is_parent_alive():
            return True
        self.alive = False  # requests that wait end early, as with every stop
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no request that a route could see."""
        if not isinstance(exc, errors.ParseException) or isinstance(exc, _OUR_FAULT):
            super().handle_error(req, client, addr, exc)
            return
        self.log.debug("refused a request: %r", exc)
        try:
            util.write_nonblock(client, refusal(exc))
        except OSError:
            self.log.debug("the client was gone")


def refusal(error: BaseException) -> bytes:
    """Return the whole answer to what was no proper request."""
    status, code = REFUSALS.get(type(error), _BAD)
    request_id = new_id()
    body = msgspec.json.encode(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": f"this is no request that can be read: {error}",
            "code": code,
            "request_id": request_id,
        }
    )
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n{REQUEST_ID_HEADER}: {request_id}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
