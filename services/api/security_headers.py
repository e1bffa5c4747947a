"""What every answer tells browsers, refusals included: to run, keep, frame and share nothing of it."""

from collections.abc import Mapping

from flask import Flask, Response

#: Nothing is loaded, run, framed or sent by what an answer shows.
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
