"""A request as it comes in, piece by piece: read by gunicorn's parser, and never more of it than allowed."""

import logging
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from gunicorn.asgi import parser as http  # type: ignore[import-untyped]  # has no types

from services.api.http.request_log import REQUEST_ID_HEADER
from services.api.openapi.describe import PROBLEM_TYPE
from services.api.server.crowd import PATIENCE_S, allowed_s
from taskyard.message import new_id
from taskyard.runtime.browsers import SECURITY_HEADERS

logger = logging.getLogger(__name__)

#: Longest first line, longest header, and all headers together. Bytes.
LINE_BYTES = 4094
FIELD_BYTES = 8190
HEAD_BYTES = 65_536
#: Headers of a request.
FIELDS = 100
#: What a body in chunks may take beside its content: this, and a part of the content. Bytes.
CHUNKS_BYTES = 65_536
CHUNKS_PART = 0.25


#: What a request can be refused for before any route sees it, by code.
REFUSALS = {
    "bad_request": HTTPStatus.BAD_REQUEST,
    "request_timeout": HTTPStatus.REQUEST_TIMEOUT,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "uri_too_long": HTTPStatus.REQUEST_URI_TOO_LONG,
    "expectation_failed": HTTPStatus.EXPECTATION_FAILED,
    "headers_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "unsupported_coding": HTTPStatus.NOT_IMPLEMENTED,
    "too_many_connections": HTTPStatus.SERVICE_UNAVAILABLE,
}


class RejectedRequest(Exception):
    """A request that no route sees.

    Args:
        code: One of `REFUSALS`.
        detail: The same for people; with nothing of the request, whose secrets it might tell.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = REFUSALS[code]


#: What the parser finds wrong, in our words: its own quote the request.
_FOUND: dict[type[Exception], tuple[str, str]] = {
    http.LimitRequestLine: ("uri_too_long", f"the first line is longer than {LINE_BYTES} bytes"),
    http.LimitRequestHeaders: (
        "headers_too_large",
        f"there are more than {FIELDS} headers, or one is longer than {FIELD_BYTES} bytes",
    ),
    http.UnsupportedTransferCoding: (
        "unsupported_coding",
        "the only Transfer-Encoding that is known here is chunked",
    ),
    http.InvalidRequestLine: ("bad_request", "the first line is no METHOD /path HTTP/1.1"),
    http.InvalidRequestMethod: ("bad_request", "the method is not 3 to 20 capital letters"),
    http.InvalidHTTPVersion: ("bad_request", "the version of HTTP is neither 1.1 nor 1.0"),
    http.InvalidHeaderName: ("bad_request", "a header's name has characters it may not have"),
    http.InvalidHeader: ("bad_request", "a header is malformed, or contradicts another"),
    http.InvalidChunkSize: ("bad_request", "a chunk of the body has no proper size"),
    http.InvalidChunkExtension: ("bad_request", "a chunk of the body has a bad extension"),
    http.ChunkMissingTerminator: ("bad_request", "a chunk of the body is not ended by CRLF"),
}
_UNREADABLE = ("bad_request", "this is no request that can be read")


def tell_refused(refused: RejectedRequest, address: str) -> str:
    """Log a request that no route sees, with nothing of what it says; return the id that it gets."""
    request_id = new_id()
    facts = {
        "request_id": request_id,
        "status": refused.status.value,
        "code": refused.code,
        "address": address,
    }
    logger.info("request refused", extra=facts)
    return request_id


def refusal(refused: RejectedRequest, request_id: str) -> bytes:
    """Return the whole answer to what was no proper request; the connection is closed after it."""
    body = msgspec.json.encode(
        {
            "type": "about:blank",
            "title": refused.status.phrase,
            "status": refused.status.value,
            "detail": refused.detail,
            "code": refused.code,
            "request_id": request_id,
        }
    )
    headers = {
        "Connection": "close",
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        REQUEST_ID_HEADER: request_id,
        **SECURITY_HEADERS,
    }
    if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "5"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    status = f"HTTP/1.1 {refused.status.value} {refused.status.phrase}"
    return f"{status}\r\n{lines}\r\n".encode() + body


class Incoming:
    """One request.

    Args:
        max_body_bytes: Largest body that any route takes.
        limit_name: The setting that this comes from.
    """

    def __init__(self, max_body_bytes: int, limit_name: str) -> None:
        self._max_body_bytes = max_body_bytes
        self._limit_name = limit_name
        self._parser = http.PythonProtocol(
            on_headers_complete=self._has_head,
            on_body=self._takes,
            limit_request_line=LINE_BYTES,
            limit_request_fields=FIELDS,
            limit_request_field_size=FIELD_BYTES,
        )
        #: In one piece: many small ones would take twenty times their bytes.
        self._body = bytearray()
        #: The path with its query, and the host if the first line names one.
        self.target = ""
        self.host: str | None = None
        #: Bytes of the body that are here.
        self.body_bytes = 0
        #: All bytes that are here.
        self.fed_bytes = 0
        #: Whether the head is here.
        self.is_begun = False
        #: Whether the client waits for a word before it sends the body.
        self.expects_continue = False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; return whether the request is whole now.

        Raises:
            Refused: If it is none, or larger than is allowed.
        """
        self.fed_bytes += len(data)
        try:
            self._parser.feed(data)
        except (http.ParseError, ValueError) as error:  # it may be a number of too many digits
            raise RejectedRequest(*_FOUND.get(type(error), _UNREADABLE)) from None
        if not self.is_begun:
            _check_head(self.fed_bytes)
        self._check_chunks()
        return bool(self._parser.is_complete)

    @property
    def may_take_s(self) -> float:
        """How long after its head the body may come. Seconds."""
        if not self.is_begun:
            return PATIENCE_S
        return allowed_s(self._parser.content_length or self.body_bytes)

    @property
    def rest(self) -> bytes:
        """What came after a request that is whole."""
        found: bytes = self._parser.remaining()
        return found

    @property
    def body(self) -> bytes:
        """The body, of a request that is whole."""
        return bytes(self._body)

    @property
    def method(self) -> str:
        """The method."""
        return str(self._parser.method, "latin-1")

    @property
    def is_http_1_1(self) -> bool:
        """Whether the client knows HTTP/1.1."""
        return bool(self._parser.http_version == (1, 1))

    @property
    def is_chunked(self) -> bool:
        """Whether its body came without a stated length."""
        return bool(self._parser.is_chunked)

    @property
    def keeps_alive(self) -> bool:
        """Whether the client may send another request on the same connection."""
        return bool(self._parser.should_keep_alive)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case, and values."""
        found: list[tuple[bytes, bytes]] = self._parser.headers
        return found

    def _has_head(self) -> bool:
        self.is_begun = True
        self._find_target()
        has_host, head_bytes = False, 0
        for name, value in self._parser.headers:
            head_bytes += len(name) + len(value)
            if name == b"host":
                has_host = True
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise RejectedRequest(
                    *_FOUND[http.UnsupportedTransferCoding]
                )  # the parser lets gzip pass
            elif name == b"expect" and self.is_http_1_1:
                if value.lower() != b"100-continue":
                    text = "the only expectation that is known here is 100-continue"
                    raise RejectedRequest("expectation_failed", text)
                self.expects_continue = True
        _check_head(head_bytes)
        if self.is_http_1_1 and not has_host:
            raise RejectedRequest("bad_request", "a request of HTTP/1.1 must have a Host")
        if (self._parser.content_length or 0) > self._max_body_bytes:
            raise self._too_large()
        return False

    def _find_target(self) -> None:
        target = self.target = str(self._parser.path, "latin-1")
        if target.startswith("/") or target == "*":
            return
        try:  # a whole URL, whose host counts (RFC 9112, 3.2.2)
            url = urlsplit(target)
        except ValueError:
            raise RejectedRequest(
                "bad_request", "the URL in the first line cannot be read"
            ) from None
        self.target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self.host = url.netloc

    def _takes(self, chunk: bytes) -> None:
        self.body_bytes += len(chunk)
        if self.body_bytes > self._max_body_bytes:
            raise self._too_large()
        self._body += chunk

    def _check_chunks(self) -> None:
        """Refuse a body in chunks so small that reading them is the work."""
        if self.is_begun and self._parser.is_chunked:
            around = self.fed_bytes - self.body_bytes - HEAD_BYTES
            if around > CHUNKS_BYTES + self.body_bytes * CHUNKS_PART:
                raise RejectedRequest(
                    "bad_request", "the chunks of the body are too small for so many"
                )

    def _too_large(self) -> RejectedRequest:
        text = f"the body is larger than the {self._max_body_bytes} bytes of {self._limit_name}"
        return RejectedRequest("too_large", text)


def _check_head(head_bytes: int) -> None:
    """Refuse a head that is too large, whether it came at once or in pieces."""
    if head_bytes > HEAD_BYTES:
        text = f"the headers are larger than {HEAD_BYTES} bytes together"
        raise RejectedRequest("headers_too_large", text)
