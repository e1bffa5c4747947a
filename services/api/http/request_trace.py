"""The span of each request: what is done for it is below it, and it continues the caller's trace."""

from typing import Any

from flask import Response, g, request

from taskyard.telemetry import trace_context, tracing


def begin(request_id: str) -> None:
    """Begin the span of this request, where traces are recorded."""
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
        "taskyard.request.id": request_id,
    }
    facts = {name: value for name, value in facts.items() if value}
    g.span = recorder.serving(f"{request.method} {route}".strip(), _caller(), facts)
    g.span.enter()


def end(response: Response) -> None:
    """End it, if there is one."""
    span = g.pop("span", None)
    if span is None:
        return
    span.set({"http.response.status_code": response.status_code})
    if response.status_code >= 500:
        span.fail(str(response.status_code))
    span.leave()
    span.end()


def trace_id() -> str | None:
    """Return the trace that this request belongs to: the span's, else the caller's, if there is one."""
    span = g.get("span")
    if span is not None:
        return str(span.trace_id)
    caller = _caller()
    return caller[3:35] if caller else None


def _caller() -> str | None:
    return trace_context.valid(request.headers.get("traceparent"))
