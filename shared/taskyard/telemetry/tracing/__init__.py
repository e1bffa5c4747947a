"""Traces: spans of OpenTelemetry where somebody records them, and next to nothing where nobody does.

OpenTelemetry is an extra (`taskyard[otel]`), so only `recorder` and `provider` import it.
"""

import logging
import sys
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from taskyard.telemetry.tracing import environment

if TYPE_CHECKING:
    from taskyard.telemetry.tracing.recorder import Span

logger = logging.getLogger(__name__)

#: How long the end of a process waits for its last spans to be taken. Seconds.
FLUSH_S = 2.0

#: The module that makes spans, in a process whose traces `start` records.
_recorder: ModuleType | None = None


def start(service: str, version: str) -> bool:
    """Record this process's traces if the environment says where to; return whether it does.

    To be called after a fork: threads do not survive one.

    Args:
        service: Which of the services it is; the environment may name it otherwise.
        version: Its version.
    """
    global _recorder
    problem = environment.problem()
    if problem:
        logger.warning("no traces: %s", problem)
    if problem or not environment.is_wanted():
        return False
    try:
        from taskyard.telemetry.tracing import provider, recorder
    except ImportError as error:
        logger.warning("no traces: %s; install taskyard[otel]", error)
        return False
    try:
        provider.start(service, version)
    except Exception:
        logger.exception("no traces")
        return False
    _recorder = recorder
    logger.info("traces are recorded", extra={"endpoint": environment.endpoint()})
    return True


def stop() -> None:
    """Send what is left, for `FLUSH_S` at most; safe to call twice, and without `start`."""
    global _recorder
    if _recorder is not None:
        _recorder = None
        from taskyard.telemetry.tracing import provider

        provider.stop(FLUSH_S)


def active() -> Any:
    """Return the module that makes spans, or None where nobody records any.

    In a program that submits jobs, that is where it has set up OpenTelemetry itself.
    """
    if _recorder is not None:
        return _recorder
    api = sys.modules.get("opentelemetry.trace")
    if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        return None
    from taskyard.telemetry.tracing import recorder as made

    return made


def span_id() -> str | None:
    """Return the id of the span that this code runs in, for the log."""
    return None if _recorder is None else _recorder.current_span_id()


class Publishing:
    """The submission of jobs, from before their messages are made until they are confirmed; a context.

    Args:
        queue: Where they go; empty: to several.
        task: Their task; empty: several.
        parent: The caller's trace context, where no span of this process is the parent.
        facts: More attributes, by name.
    """

    def __init__(self, queue: str, task: str, *, parent: str | None = None, **facts: Any) -> None:
        #: What the messages carry on.
        self.traceparent = parent
        self._arguments = queue, task, facts
        self._span: Span | None = None

    def __enter__(self) -> "Publishing":
        """Begin the span, if there is to be one."""
        found = active()
        if found is not None:
            queue, task, facts = self._arguments
            self._span = found.publishing(queue, task, self.traceparent, facts)
            self.traceparent = self._span.traceparent or self.traceparent
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """End the span."""
        if self._span is not None:
            if kind is not None:
                self._span.fail(kind.__name__)
            self._span.end()

    def made(self, job_id: str, queue: str, *, is_new: bool) -> None:
        """Tell which job came of it, and where it went."""
        if self._span is not None:
            self._span.tell_job(job_id, queue, is_new=is_new)
