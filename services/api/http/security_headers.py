"""The security headers of every answer: what browsers may not do with it."""

from flask import Flask, Response

from taskyard.runtime.browsers import SECURITY_HEADERS


def install(app: Flask) -> None:
    """Add them to every answer of `app`."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    """Add those that the route has not set itself."""
    headers = response.headers
    for name, text in SECURITY_HEADERS.items():
        if name not in headers:
            headers.add(name, text)
    return response
