"""OpenTelemetry's SDK as the services use it: batches in the background, bounded in memory and at the end."""

import logging
import os
import socket
import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from taskyard.telemetry.tracing.recorder import wanted_trace_id

_provider: TracerProvider | None = None


class _Ids(RandomIdGenerator):
    """Random ids, except that the first span of a job that came without a trace is in the job's own."""

    def generate_trace_id(self) -> int:
        return wanted_trace_id.get() or super().generate_trace_id()


def start(service: str, version: str) -> None:
    """Record this process's spans; sampling, queue and endpoint are as the `OTEL_*` variables say.

    A span that finds the queue full is dropped: nothing ever waits for the collector.
    """
    global _provider
    ours = Resource(
        {
            "service.name": f"taskyard-{service}",
            "service.namespace": "taskyard",
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    provider = TracerProvider(
        resource=Resource.create({}).merge(ours).merge(_named()),
        shutdown_on_exit=False,  # it would wait for a collector that is away
        id_generator=_Ids(),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Each failed try is a warning; what comes of them all is an error.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    trace.set_tracer_provider(provider)
    _provider = provider


def _named() -> Resource:
    """Return what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say."""
    return OTELResourceDetector().detect()


def stop(timeout_s: float) -> None:
    """Send what is left; what is not taken within `timeout_s` seconds is lost."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:
        thread = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(timeout_s)
