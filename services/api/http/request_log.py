"""The id, the log line and the metrics of every request; never its arguments."""

import logging
import re
import time
from typing import Any

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars

from services.api.auth.principal import who
from services.api.http import request_metrics, request_trace
from taskyard.message import new_id

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: Asked every few seconds, by machines.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def install(app: Flask) -> None:
    """Log and count every request to `app`, and give it an id."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """Return this request's id: the caller's own, or one made for it."""
    found: str = g.request_id
    return found


def add_facts(**facts: Any) -> None:
    """Add facts to this request's log line, such as the job that it submitted."""
    g.facts.update(facts)


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get(REQUEST_ID_HEADER, "")
    g.request_id = given if _SAFE_ID.fullmatch(given) else new_id()
    g.facts = {}
    bind_contextvars(request_id=g.request_id)
    if request.path not in _PROBES:
        request_trace.begin(g.request_id)
    trace_id = request_trace.trace_id()
    if trace_id is not None:
        bind_contextvars(trace_id=trace_id)


def _end(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = g.request_id
    duration_s = time.perf_counter() - g.started
    route = "none" if request.url_rule is None else request.url_rule.rule
    request_metrics.observe(request.method, route, response.status_code, duration_s)
    if route not in _PROBES or response.status_code >= 500:
        facts = {
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "who": who(),
            "duration_s": round(duration_s, 6),
            **g.facts,
        }
        logger.info("request", extra=facts)
    request_trace.end(response)
    return response
