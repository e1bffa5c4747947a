"""When traces are recorded and when not, and what a program with OpenTelemetry of its own gets."""

import os
import subprocess
import sys

import pytest

from services.worker.dramatiq_bridge.actors import make_broker
from taskyard.telemetry import tracing
from taskyard.telemetry.tracing import Publishing, environment

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_an_endpoint_in_the_environment_turns_traces_on(env, wanted):
    """Unless something turns them off."""
    assert environment.is_wanted(env) == wanted
    assert environment.problem(env) == ""


@pytest.mark.parametrize(
    "env", [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}]
)
def test_what_is_not_known_is_told(env):
    """It names the variable and the value."""
    ((name, value),) = env.items()

    assert f"{name}={value!r}" in environment.problem({**ENDPOINT, **env})


def test_where_nobody_records_nothing_is_done():
    """The caller's trace context passes, and a worker's slots get no hook more."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    with Publishing("q", "t", parent=parent) as publishing:
        publishing.made("job", "q", is_new=True)

    assert publishing.traceparent == parent
    assert tracing.active() is None
    assert tracing.span_id() is None
    broker = make_broker({}, report=lambda *_: None, result_max_bytes=1)
    assert [type(each).__name__ for each in broker.middleware] == ["CurrentAttempt"]


def run(program: str, **env: str) -> str:
    """Return what a program of its own process writes: OpenTelemetry is set up once in each."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": "shared", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


WITHOUT = """
import logging, sys
sys.modules["opentelemetry"] = None  # what is not installed
logging.basicConfig()
from taskyard.telemetry import tracing
print(tracing.start("api", "1"), tracing.active())
with tracing.Publishing("q", "t") as publishing:
    print(publishing.traceparent)
"""


def test_without_the_extra_there_are_no_traces_and_a_word_about_it():
    """The service goes on."""
    output = run(WITHOUT, **ENDPOINT)

    assert "False None\nNone" in output
    assert "taskyard[otel]" in output


BROKEN = """
from taskyard.telemetry import tracing
print(tracing.start("api", "1"))
"""


def test_settings_of_traces_that_cannot_be_used_do_not_stop_a_service():
    """They are logged."""
    output = run(BROKEN, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="-1", **ENDPOINT)

    assert "False" in output


PROGRAM = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from taskyard.telemetry.tracing import Publishing

with trace.get_tracer("program").start_as_current_span("checkout") as own:
    with Publishing("", "mail") as publishing:
        publishing.made("job-1", "mails", is_new=True)
    try:
        with Publishing("", "mail"):
            raise TimeoutError("hush")
    except TimeoutError:
        pass
first, second, outer = exporter.get_finished_spans()
print([first.name, second.name, first.kind.name, first.attributes["messaging.message.id"]])
print(first.parent.span_id == second.parent.span_id == outer.context.span_id)
carried = f"00-{outer.context.trace_id:032x}-{first.context.span_id:016x}-"
print(publishing.traceparent.startswith(carried), int(publishing.traceparent[-2:], 16) & 1)
print(second.status.status_code.name, second.attributes["error.type"], "hush" in second.to_json())
"""


def test_a_program_that_records_traces_has_its_submissions_in_them():
    """Below its current span, and the job's message carries that on."""
    assert run(PROGRAM).splitlines() == [
        "['publish mails', 'publish', 'PRODUCER', 'job-1']",
        "True",
        "True 1",
        "ERROR TimeoutError False",
    ]
