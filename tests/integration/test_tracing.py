"""Traces of real services at a real collector: from the door to the last settlement."""

import json
import os
import signal
import socket
import time
import urllib.request
from typing import Any

import pika
import pytest

from taskyard.message import new_id
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE
from taskyard.store.jobs import Change
from taskyard.telemetry import trace_context
from tests import worker_tasks as tasks
from tests.collector import Collector, Span
from tests.polling import poll

#: The span of whoever calls.
CALLER = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector():
    with Collector().running() as collector:
        yield collector


@pytest.fixture(scope="module")
def yard(make_yard, collector):
    yard = make_yard(**collector.env)
    api = yard.api()
    with yard.running(yard.worker(), yard.scheduler(), api):
        yard.url = api.url
        yield yard


@pytest.fixture
def trace_id():
    """A trace of the test's own."""
    return f"{time.time_ns():032x}"


def post(url: str, body: object, **headers: str) -> dict[str, Any]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **headers}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def spans_of(collector: Collector, trace_id: str, *names: str) -> dict[str, list[Span]]:
    """Return a trace's spans by name, once it has all of these."""

    def found():
        by_name: dict[str, list[Span]] = {}
        for span in collector.of_trace(trace_id):
            by_name.setdefault(span.name, []).append(span)
        counts = {name: len(by_name.get(name, ())) for name in names}
        return by_name if all(counts[name] >= names.count(name) for name in names) else None

    return poll(found)


def test_looks_at_a_parked_job_are_no_spans(yard, collector, trace_id):
    """It goes to its queue every other second until a worker knows its task."""
    job_id = new_id()
    traceparent = f"00-{trace_id}-{CALLER}-01"
    yard.publish(
        yard.body("nobody.knows", 1, message_id=job_id, options={"traceparent": traceparent})
    )
    first = poll(lambda: yard.job_in("scheduled", job_id))

    yard.store.change(job_id, Change(delay_ms=0))
    poll(lambda: (job := yard.job_in("scheduled", job_id)) and job.run_at > first.run_at)
    yard.client.handle(job_id).cancel()
    later = trace_id[::-1]
    asked = {"task": tasks.add.name, "args": [1], "queue": yard.queue, "delay_s": 0.01}
    post(f"{yard.url}/v1/jobs", asked, traceparent=f"00-{later}-{CALLER}-01")
    spans_of(collector, later, f"dispatch {yard.queue}")  # of the same process, after the others

    assert collector.of_trace(trace_id) == []


@pytest.mark.parametrize("task", [tasks.traced, tasks.traced_later])
def test_one_trace_leads_from_a_request_through_a_retry_to_its_settlement(
    yard, collector, trace_id, task
):
    """Each span is below what caused it, the task's own ones below their attempt."""
    traceparent = f"00-{trace_id}-{CALLER}-01"
    asked = {"task": task.name, "queue": yard.queue, "kwargs": {"secret": "hush"}}
    job = post(f"{yard.url}/v1/jobs", asked, traceparent=traceparent)
    run, publish = f"run {task.name}", f"publish {yard.queue}"
    settle, dispatch = f"settle {yard.queue}", f"dispatch {yard.queue}"

    wanted = ["POST /v1/jobs", publish, dispatch, *[run, settle, "own work"] * 2]
    spans = spans_of(collector, trace_id, *wanted)

    (request,), (published,), (dispatched,) = (
        spans[name] for name in ("POST /v1/jobs", publish, dispatch)
    )
    assert request.parent_id == CALLER
    assert request.span_id == published.parent_id
    assert [each.parent_id for each in (*spans[run], dispatched)] == [published.span_id] * 3
    runs = [each.span_id for each in spans[run]]
    assert [each.parent_id for each in spans[settle]] == runs
    assert [each.parent_id for each in spans["own work"]] == runs
    assert [each.kind for each in (request, published, spans[run][0], spans[settle][0])] == [
        "server",
        "producer",
        "consumer",
        "client",
    ]
    assert [each.service for each in (request, published, spans[run][0], dispatched)] == [
        "taskyard-api",
        "taskyard-api",
        "taskyard-worker",
        "taskyard-scheduler",
    ]
    assert [each.facts["taskyard.attempt"] for each in spans[run]] == [1, 2]
    assert [each.facts.get("error.type") for each in spans[run]] == ["ConnectionError", None]
    assert [each.facts["taskyard.outcome"] for each in spans[settle]] == ["retrying", "completed"]
    assert {
        each.facts["messaging.message.id"] for each in (published, dispatched, *spans[run])
    } == {job["id"]}
    assert (
        request.facts["http.response.status_code"],
        request.facts["http.route"],
    ) == (202, "/v1/jobs")
    everything = "".join(each.whole for each in collector.of_trace(trace_id))
    assert "hush" not in everything
    assert "secret-word" not in everything


def submit(yard, body: object, **properties: Any) -> str:
    """Publish a submission; return its message id."""
    message_id = new_id()
    with yard.channel() as channel:
        channel.basic_publish(
            SUBMIT_EXCHANGE,
            yard.queue,
            json.dumps(body).encode(),
            pika.BasicProperties(message_id=message_id, **properties),
        )
    return message_id


def test_a_submission_over_amqp_continues_its_producer_s_trace(yard, collector, trace_id):
    """By the header; the intake's span is below the producer's, the attempt below the intake's."""
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
    job_id = submit(yard, {"task": tasks.add.name, "args": [1]}, headers=headers)

    run, settle = f"run {tasks.add.name}", f"settle {yard.queue}"
    spans = spans_of(collector, trace_id, "process taskyard.intake", run, settle)

    (intake,) = spans["process taskyard.intake"]
    assert (
        intake.parent_id,
        intake.kind,
        intake.service,
    ) == (CALLER, "consumer", "taskyard-scheduler")
    assert intake.span_id == spans[run][0].parent_id
    assert intake.facts["taskyard.job.id"] == job_id
    assert yard.job(job_id).message.trace_id == trace_id


def test_what_the_intake_refuses_is_an_error_in_the_trace(yard, collector, trace_id):
    """With the code."""
    submit(yard, {"task": "?"}, headers={"traceparent": f"00-{trace_id}-{CALLER}-01"})

    (intake,) = spans_of(collector, trace_id, "process taskyard.intake")["process taskyard.intake"]

    assert intake.is_error
    assert intake.facts["error.type"] == "invalid"


@pytest.mark.parametrize("where", ["header", "options"])
def test_a_message_straight_to_a_queue_continues_its_producer_s_trace(
    yard, collector, trace_id, where
):
    """Also through a retry, whose message is taskyard's own."""
    traceparent = f"00-{trace_id}-{CALLER}-01"
    options = {"traceparent": traceparent} if where == "options" else {}
    headers = {"traceparent": traceparent} if where == "header" else None
    yard.publish(yard.body(tasks.traced.name, options=options), headers=headers)

    runs = spans_of(collector, trace_id, *[f"run {tasks.traced.name}"] * 2)[
        f"run {tasks.traced.name}"
    ]

    assert [run.parent_id for run in runs] == [CALLER] * 2
    assert [run.facts["taskyard.attempt"] for run in runs] == [1, 2]


@pytest.mark.parametrize("traceparent", [None, 7, "nonsense", f"00-{'0' * 32}-{CALLER}-01"])
def test_attempts_of_a_job_without_a_trace_share_one_that_follows_from_its_id(
    yard, collector, traceparent
):
    """A trace context that is none is not held against a message."""
    job_id = new_id()
    body = yard.body(tasks.traced.name, message_id=job_id, options={"traceparent": traceparent})
    yard.publish(body)

    run = f"run {tasks.traced.name}"
    spans = spans_of(collector, trace_context.trace_id(None, job_id), run, run)

    assert [each.parent_id for each in spans[run]] == ["", ""]
    assert trace_context.trace_id(None, job_id).encode() in bytes(yard.ended(job_id).result)


def test_jobs_that_a_task_submits_are_in_its_trace(yard, collector, trace_id):
    """Below the attempt that submitted them."""
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
    submit(yard, {"task": tasks.submits_another.name}, headers=headers)

    runs = [f"run {task.name}" for task in (tasks.submits_another, tasks.add)]
    spans = spans_of(collector, trace_id, f"publish {tasks.QUEUE}", *runs)

    (published,) = spans[f"publish {tasks.QUEUE}"]
    assert spans[runs[0]][0].span_id == published.parent_id
    assert published.span_id == spans[runs[1]][0].parent_id


def test_a_batch_is_one_submission(yard, collector, trace_id):
    """One span for all, and each job's attempt is below it."""
    asked = [{"task": tasks.add.name, "args": [n]} for n in range(3)]
    traceparent = f"00-{trace_id}-{CALLER}-01"
    post(f"{yard.url}/v1/jobs/batch", {"jobs": asked}, traceparent=traceparent)

    run = f"run {tasks.add.name}"
    spans = spans_of(collector, trace_id, "publish", *[run] * 3)

    (published,) = spans["publish"]
    assert published.facts["messaging.batch.message_count"] == 3
    assert [each.parent_id for each in spans[run]] == [published.span_id] * 3


def test_a_retry_by_an_operator_stays_in_the_job_s_trace(yard, collector, trace_id):
    """Its attempt is beside those before it."""
    asked = {"task": tasks.traced.name, "queue": yard.queue, "max_retries": 0}
    job = post(f"{yard.url}/v1/jobs", asked, traceparent=f"00-{trace_id}-{CALLER}-01")
    assert yard.ended(job["id"]).state == "failed"
    post(f"{yard.url}/v1/jobs/{job['id']}/retry", {})

    run, settle = f"run {tasks.traced.name}", f"settle {yard.queue}"
    spans = spans_of(collector, trace_id, run, run, settle, settle)

    assert len({each.parent_id for each in spans[run]}) == 1
    assert [each.facts["taskyard.outcome"] for each in spans[settle]] == ["failed", "completed"]
    assert [each.facts.get("taskyard.reason") for each in spans[settle]] == [
        "retries_exhausted",
        None,
    ]


def test_a_fire_of_a_schedule_begins_a_trace(yard, collector):
    """At the scheduler, with the schedule's name; triggered by a request, it is below that."""
    name = f"traced-{new_id()}"
    schedule = {
        "name": name,
        "task": tasks.add.name,
        "args": [1],
        "every_s": 1,
        "queue": yard.queue,
    }
    post(f"{yard.url}/v1/schedules", schedule)
    triggered = post(f"{yard.url}/v1/schedules/{name}/trigger", {})

    run, request = f"run {tasks.add.name}", "POST /v1/schedules/<name>/trigger"
    publish = f"publish {yard.queue}"
    fired = poll(lambda: [s for s in collector.spans if s.facts.get("taskyard.schedule") == name])[
        0
    ]
    post(f"{yard.url}/v1/schedules/{name}/pause", {})
    by_request = spans_of(collector, triggered["trace_id"], request, publish, run)
    by_time = spans_of(collector, fired.trace_id, run)

    assert (fired.parent_id, fired.name, fired.service) == ("", publish, "taskyard-scheduler")
    assert fired.span_id == by_time[run][0].parent_id
    assert by_request[request][0].span_id == by_request[publish][0].parent_id


def test_a_trace_that_its_caller_does_not_record_is_not_recorded(yard, collector, trace_id):
    """The flag of the trace context decides; the job is in the trace all the same."""
    traceparent = f"00-{trace_id}-{CALLER}-00"
    asked = {"task": tasks.add.name, "args": [1]}
    quiet = post(f"{yard.url}/v1/jobs", asked, traceparent=traceparent)
    yard.ended(quiet["id"])
    other = post(f"{yard.url}/v1/jobs", asked)  # its spans come later than those of the first would
    spans_of(collector, other["trace_id"], f"settle {tasks.QUEUE}")

    assert collector.of_trace(trace_id) == []
    assert trace_id == quiet["trace_id"] == yard.job(quiet["id"]).message.trace_id


def test_a_job_whose_worker_dies_shows_in_its_trace(make_yard, collector, trace_id):
    """The dead worker's span is lost; the scheduler tells of the attempt, and the next one follows."""
    yard = make_yard(**collector.env)
    with yard.running(yard.worker(), yard.scheduler()):
        headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
        yard.publish(yard.body(tasks.crash.name, "kill", 1), headers=headers)
        run, reclaim = f"run {tasks.crash.name}", f"reclaim {yard.queue}"
        spans = spans_of(collector, trace_id, reclaim, run)

    (lost,) = spans[reclaim]
    assert (
        lost.facts["taskyard.attempt"],
        lost.facts["taskyard.outcome"],
        lost.facts["taskyard.reason"],
        lost.is_error,
    ) == (1, "retrying", "worker_lost", True)
    assert spans[run][0].facts["taskyard.attempt"] == 2


def test_a_collector_that_is_away_does_no_harm(make_yard, collector):
    """Jobs run, requests are answered, and every service stops in time and in good order."""
    # Connections are taken and never answered: worse than refused.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        yard = make_yard(**{**collector.env, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
        services = [yard.worker(), yard.scheduler(), yard.api()]
        with yard.running(*services):
            asked = {"task": tasks.add.name, "args": [1, 2], "queue": yard.queue}
            jobs = [post(f"{services[2].url}/v1/jobs", asked) for _ in range(5)]
            assert {yard.ended(job["id"]).state for job in jobs} == {"completed"}
            began = time.monotonic()
            for service in services:
                os.kill(service.pid, signal.SIGTERM)
            poll(lambda: not any(service.is_running for service in services))

    assert time.monotonic() - began < 30
    assert len(yard.logged(event="traces are recorded")) == 3
    assert [
        line for line in yard.logged(level="error") if "opentelemetry" not in line["logger"]
    ] == []
