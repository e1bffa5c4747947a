"""Has every answer of the application tell browsers what they may not do with it."""

from flask import Flask, Response

from taskyard.runtime.browsers import SECURITY_HEADERS


def install(app: Flask) -> None:
    """Have all answers of `app` say so."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    """Add what the route has not set itself."""
    headers = response.headers
    for name, text in SECURITY_HEADERS.items():
        if name not in headers:
            headers.add(name, text)
    return response
