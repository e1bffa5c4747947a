"""taskyard's spans: their names and attributes, by OpenTelemetry's conventions for messaging.

No span ever has an argument or a result of a job, nor the text of an error, which may hold some.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.span import TraceFlags

Attributes = Mapping[str, Any]

#: The trace that the next root span begins; None: a new one.
wanted_trace_id: ContextVar[int | None] = ContextVar("taskyard_trace_id", default=None)

_SYSTEM = {"messaging.system": "rabbitmq"}


class Span:
    """One span, and whether code runs in it."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def traceparent(self) -> str | None:
        """What carries the trace on; None where there is none."""
        found = self._span.get_span_context()
        if not found.is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    @property
    def trace_id(self) -> str:
        """Its trace, in 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def enter(self) -> None:
        """Make it the parent of spans that this thread, and coroutines that it starts, begin from now on."""
        self._token = contexts.attach(trace.set_span_in_context(self._span))

    def leave(self) -> None:
        """Make it so no longer; in the thread that entered."""
        if self._token is not None:
            contexts.detach(self._token)
            self._token = None

    def set(self, facts: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(facts)

    def tell_job(self, job_id: str, queue: str, *, is_new: bool) -> None:
        """Say which job it made, or found, and where it went."""
        self._span.update_name(f"publish {queue}")
        self.set(
            {
                "messaging.destination.name": queue,
                "messaging.message.id": job_id,
                "taskyard.job.is_new": is_new,
            }
        )

    def fail(self, error_type: str) -> None:
        """Say that it did not work; too late for one that has ended."""
        if not self._span.is_recording():
            return
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, at_ns: int | None = None) -> None:
        """End it, once, in nanoseconds since 1970 or now."""
        if self._span.is_recording():
            self._span.end(at_ns)


def current_span_id() -> str | None:
    """Return the id of the span that this code runs in; None where there is none."""
    found = trace.get_current_span().get_span_context()
    return f"{found.span_id:016x}" if found.is_valid else None


def publishing(queue: str, task: str, parent: str | None, facts: Attributes) -> Span:
    """Begin the span of a submission, in the current one, else in the caller's."""
    inside = trace.get_current_span().get_span_context().is_valid
    return _begin(
        f"publish {queue}" if queue else "publish",
        SpanKind.PRODUCER,
        None if inside else _remote(parent),
        {**message(queue, task, "publish", "send"), **facts},
    )


def serving(name: str, parent: str | None, facts: Attributes) -> Span:
    """Begin the span of an HTTP request."""
    return _begin(name, SpanKind.SERVER, _remote(parent), facts)


def of_job(
    name: str,
    kind: str,
    *,
    parent: str | None,
    trace_id: str,
    facts: Attributes,
    start_ns: int | None = None,
) -> Span:
    """Begin a span of a job's own trace.

    Args:
        name: What happens, and to what.
        kind: `consumer`, `producer` or `client`.
        parent: The trace context that the job has, or None …
        trace_id: … and the trace that it is in all the same.
        facts: Attributes.
        start_ns: When it began, in nanoseconds since 1970; None: now.
    """
    token = wanted_trace_id.set(None if parent else int(trace_id, 16))
    try:
        return _begin(name, SpanKind[kind.upper()], _remote(parent), facts, start_ns)
    finally:
        wanted_trace_id.reset(token)


def message(queue: str, task: str, operation: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return the attributes that all spans about a message have.

    Args:
        queue: Its queue; empty: several.
        task: Its task; empty: several.
        operation: What happens, in taskyard's word.
        kind: The same in OpenTelemetry's: send, receive, process or settle.
        more: Others, whose underscores stand for points.
    """
    facts = {
        **_SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
        "taskyard.task": task,
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    return {name: value for name, value in facts.items() if value != ""}


def _begin(
    name: str,
    kind: SpanKind,
    context: Context | None,
    facts: Attributes,
    start_ns: int | None = None,
) -> Span:
    tracer = _tracer(trace.get_tracer_provider())
    span = tracer.start_span(name, context, kind, attributes=dict(facts), start_time=start_ns)
    return Span(span)


@lru_cache(maxsize=1)
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    """Return the tracer of a provider, which takes longer to look up than to use."""
    return provider.get_tracer("taskyard")


def _remote(parent: str | None) -> Context:
    """Return the context of a parent elsewhere, or one without any."""
    if parent is None:
        return Context()
    found = SpanContext(
        trace_id=int(parent[3:35], 16),
        span_id=int(parent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent[53:55], 16)),
    )
    return trace.set_span_in_context(NonRecordingSpan(found), Context())
