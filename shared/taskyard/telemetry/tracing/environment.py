"""What OpenTelemetry's own variables say: they are its specification's, and so no settings of taskyard."""

import os
from collections.abc import Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def endpoint(environ: Mapping[str, str] | None = None) -> str:
    """Return where traces go; empty: nowhere."""
    return _first(_ENDPOINTS, os.environ if environ is None else environ)


def is_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether traces are to be recorded: an endpoint is named, and nothing turns them off."""
    found = os.environ if environ is None else environ
    is_off = found.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(endpoint(found)) and not is_off and _exporter(found) != "none"


def problem(environ: Mapping[str, str] | None = None) -> str:
    """Return why traces that are wanted cannot be sent; empty: they can."""
    found = os.environ if environ is None else environ
    if not is_wanted(found):
        return ""
    if _exporter(found) != "otlp":
        return f"OTEL_TRACES_EXPORTER={_exporter(found)!r}: only otlp and none are known"
    protocol = _first(_PROTOCOLS, found) or "http/protobuf"
    if protocol != "http/protobuf":
        return f"{_PROTOCOLS[1]}={protocol!r}: only http/protobuf is known"
    return ""


def _exporter(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str:
    return next((value for name in names if (value := environ.get(name, "").strip())), "")
