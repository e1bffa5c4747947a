"""How the services log: one line an event, JSON for machines or readable on a terminal."""

import logging
import sys
from collections.abc import MutableMapping
from io import StringIO
from typing import Any, TextIO

import structlog

from taskyard import context
from taskyard.config import Settings
from taskyard.runtime.short_text import visible
from taskyard.telemetry import tracing
from taskyard.telemetry.untold import untold

#: Loggers of the services, and of libraries that deal with what comes from outside for them.
_OURS = ("services.", "taskyard.", "gunicorn.", "asyncio", "concurrent.", "pika")
#: Tells of modules of tasks that cannot be imported, before anything has come in.
_CHILD = "services.worker.child"


def _add_job(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Say which job the line is about: a job that logs nothing pays nothing for it."""
    job = context.job_of_line()
    if job is not None:
        event = {**job.log_facts(), **event}
    span_id = tracing.span_id()
    if span_id is not None:
        event.setdefault("span_id", span_id)
    return event


def _without_input(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave out what the texts of errors may quote; what tasks log of their own is theirs to choose."""
    found, name = event.get("exc_info"), str(event.get("logger", ""))
    if found and name.startswith(_OURS) and name != _CHILD:
        error = found[1] if isinstance(found, tuple) else found
        error = sys.exc_info()[1] if error is True else error
        if isinstance(error, BaseException):
            substitute = untold(error)
            event["exc_info"] = (type(substitute), substitute, substitute.__traceback__)
    return event


def _as_json() -> list[Any]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _for_people() -> list[Any]:
    return [
        _visible,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
    ]


def _visible(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Have no text of others make a line, or change what stands elsewhere; JSON does so by itself."""
    return {
        visible(name): value if name == "exc_info" else _shown(value)
        for name, value in event.items()
    }


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else _Shown(value)


class _Shown:
    """What is no text: its form for people is made by itself, or by a class of others."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return visible(repr(self._value))


def _traceback(out: TextIO, exc_info: Any) -> None:
    """Write a traceback, indented: an error's text may look like a line of the log.

    rich's would print local variables, and with them a job's arguments.
    """
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    out.writelines(f"\n  {visible(line)}" for line in text.getvalue().strip("\n").split("\n"))


def configure(settings: Settings, service: str) -> None:
    """Send every logger's lines to standard error in the chosen format, each with the service's name."""
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )

    def name_service(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"service": service, **event}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_job,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_input,
                *(_as_json() if as_json else _for_people()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
