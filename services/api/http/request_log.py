"""The id, log line, metrics and span of every request; never its arguments."""

import logging
import re
import time
from typing import Any

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars

from services.api.auth.principal import who
from services.api.http import request_metrics
from taskyard.message import new_id
from taskyard.telemetry import trace_context, tracing

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: Requested every few seconds, by machines.
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
        _begin_span()
    trace_id = _trace_id()
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
    _end_span(response)
    return response


def _begin_span() -> None:
    """Begin the span of this request, where traces are recorded; it continues the caller's trace."""
    recorder = tracing.active()
    if recorder is None:
        return
    route = "" if request.url_rule is None else request.url_rule.rule
    facts: dict[str, Any] = {
        "http.request.method": request.method,
        "http.route": route,
        "url.path": request.path,
        "url.scheme": request.scheme,
        "server.address": request.host,
        "client.address": request.remote_addr or "",
        "user_agent.original": request.user_agent.string,
        "taskyard.request.id": g.request_id,
    }
    facts = {name: value for name, value in facts.items() if value}
    g.span = recorder.serving(f"{request.method} {route}".strip(), _caller(), facts)
    g.span.enter()


def _end_span(response: Response) -> None:
    """End the span of this request, if there is one."""
    span = g.pop("span", None)
    if span is None:
        return
    span.set({"http.response.status_code": response.status_code})
    if response.status_code >= 500:
        span.fail(str(response.status_code))
    span.leave()
    span.end()


def _trace_id() -> str | None:
    """Return the trace that this request belongs to: the span's, else the caller's, if there is one."""
    span = g.get("span")
    if span is not None:
        return str(span.trace_id)
    caller = _caller()
    return caller[3:35] if caller else None


def _caller() -> str | None:
    return trace_context.valid(request.headers.get("traceparent"))
