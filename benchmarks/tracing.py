"""What traces and log context cost a job: the calls that a job makes of them, off and on, without servers.

Spans are batched as in a service, and the exporter drops them. Run it by `python -m benchmarks.tracing`.
"""

import logging
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.worker.attempts import traces
from services.worker.attempts.running import RunningAttempt
from services.worker.dramatiq_bridge.middleware import TracedAttempt
from taskyard import config, context
from taskyard.message import Message, Options, new_id
from taskyard.store.attempts import Outcome
from taskyard.telemetry import logs, tracing

ROUNDS, JOBS = 5, 10_000


class Drop(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Any) -> SpanExportResult:
        """Say that all went well."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to do."""


def attempt() -> RunningAttempt:
    """Return an attempt as a slot gets it."""
    message = Message(
        queue_name="bench",
        task="noop",
        args=[],
        kwargs={},
        options=Options(),
        message_id=new_id(),
        message_timestamp=0,
    )
    delivery: Any = SimpleNamespace(queue="bench")
    return RunningAttempt(
        message,
        delivery,
        token=1,
        crashes=0,
        first_failed_at_ms=None,
        timeout_s=60,
        max_retries=3,
    )


def submit() -> None:
    """Do what a submission does."""
    with tracing.Publishing("", "noop") as publishing:
        publishing.made("id", "bench", is_new=True)


def settle(job: RunningAttempt) -> None:
    """Do what the engine does with a batch of one."""
    traces.settled([(Outcome(job.id, 1, "completed"), job)], [True])


def run(job: RunningAttempt, hook: TracedAttempt) -> None:
    """Do what a slot does where traces are recorded."""
    broker: Any = None
    hook.before_process_message(broker, job)
    hook.after_process_message(broker, job)
    settle(job)


def cost_us(call: Callable[[Any], object], made: Callable[[], Any] = lambda: None) -> float:
    """Return the microseconds of CPU of one call, in the best of some rounds."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        each = [made() for _ in range(JOBS)]
        started = time.thread_time()
        for one in each:
            call(one)
        best_s = min(best_s, time.thread_time() - started)
    return best_s / JOBS * 1e6


def show(what: str, microseconds: float) -> None:
    """Print one line of the table."""
    print(f"{what:<52} {microseconds:7.2f} µs")


def record() -> None:
    """Record traces from now on."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Drop(), max_queue_size=JOBS * 10))
    trace.set_tracer_provider(provider)


def line(_: object) -> None:
    """Log a line."""
    logging.getLogger("bench").info("a line", extra={"fact": 1})


def main() -> None:
    """Measure and print."""
    show("submit, off", cost_us(lambda _: submit()))
    show("run and settle, off (a batch of one)", cost_us(settle, attempt))
    record()
    hook = TracedAttempt()
    show("submit, on: one span", cost_us(lambda _: submit()))
    show("run and settle, on: two spans", cost_us(lambda job: run(job, hook), attempt))
    with mock.patch.object(sys, "stderr", SimpleNamespace(write=len, flush=int, isatty=bool)):
        logs.configure(config.load(log_format="json"), "bench")
        outside = cost_us(line)
        context.set_current_job(attempt().current_job(lambda _: None))
        inside = cost_us(line)
    show("a line of the log outside a job", outside)
    show("a line of the log inside a job", inside)


if __name__ == "__main__":
    main()
