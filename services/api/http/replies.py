"""Answers: as JSON written by msgspec, each with the headers that say what browsers may not do with it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Flask, Response

from taskyard.runtime.browsers import SECURITY_HEADERS

_encode = msgspec.json.Encoder().encode


def install(app: Flask) -> None:
    """Add the security headers to every answer of `app`."""
    app.after_request(_add_security_headers)


def reply(
    document: Any,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Response:
    """Return `document` as the body of an answer."""
    return Response(_encode(document), status, headers, content_type=content_type)


def _add_security_headers(response: Response) -> Response:
    """Add those that the route has not set itself."""
    headers = response.headers
    for name, text in SECURITY_HEADERS.items():
        if name not in headers:
            headers.add(name, text)
    return response
