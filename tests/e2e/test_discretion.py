"""No argument in any log, at the most talkative level, whatever becomes of the job that has it."""

import itertools
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pika
import pytest

from taskyard.arguments.secrets import HIDDEN
from taskyard.local_servers.ports import choose_port
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, dead_queue
from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import parse
from taskyard.store.schedules import ScheduleWrite
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import CHECKOUT, Worker, Yard
from tools.run.service import Service

Ask = Callable[..., Any]
MARKER = f"marker-{uuid.uuid4().hex}"
PASSWORD = f"password-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What all services of the yard have logged so far."""
    return []


@pytest.fixture(scope="module")
def yard(running) -> Yard:
    """The yard."""
    return running[0]


@pytest.fixture(scope="module")
def ask(running) -> Ask:
    """A function that sends a request to the API; gives its answer's status and document."""
    return partial(_ask, running[1])


@pytest.fixture(scope="module")
def running(make_yard, lines):
    """A yard whose services log all that they can."""
    yard = make_yard(LOG_LEVEL="debug", UNKNOWN_TASK_TTL="0")

    def service(name: str, kind: Any, **env: str) -> Any:
        def make(*args: Any, **fields: Any) -> Any:
            return kind(*args, **{**fields, "on_line": lines.append})

        return yard.service(make, name, env)

    queues = ",".join(yard.queues)
    worker = service("worker", Worker, WORKER_QUEUES=queues, LOG_FORMAT="console")
    others = [service(name, type(yard.api())) for name in ("api", "scheduler")]
    with yard.running(worker, *others):
        poll(lambda: yard.store.tasks() and yard.store.queues())
        yield yard, others[0].url
    with yard.channel() as channel:
        channel.queue_purge(dead_queue(INTAKE_QUEUE))  # which all yards share


def _ask(url: str, method: str, path: str, body: Any = None) -> Any:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"{url}{path}", raw, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def has(lines: list[str], *words: str) -> bool:
    """Return whether a line has all these words."""
    return any(all(word in line for word in words) for line in lines)


def test_no_argument_is_logged(running, yard, ask, lines):
    """Jobs that run, fail, die, kill their process, are refused at each door, changed and replayed."""
    ids = _submitted(yard, ask)
    _refused_over_rest(ask)
    _malformed_over_http(running[1])
    _published(yard)
    _published_malformed(yard)
    _scheduled(yard)
    poll(lambda: yard.events("waits", ids["cancelled"]))
    ask("POST", f"/v1/jobs/{ids['cancelled']}/cancel")
    for job_id in ids.values():
        yard.ended(job_id)
    yard.ended(_failing_again(yard, ask))
    _replayed(yard, ask, ids["failed"])

    poll(lambda: has(lines, "message refused: invalid: type"))
    poll(lambda: has(lines, "message refused", "undecodable"))
    poll(lambda: sum("submission refused" in line for line in lines) >= 3)
    poll(lambda: has(lines, "schedule refused"))
    poll(lambda: has(lines, "unreadable schedule"))
    poll(lambda: has(lines, "jobs replayed"))
    poll(lambda: has(lines, "killed by SIGKILL") or has(lines, "SIGKILL"))
    poll(lambda: has(lines, "attempt ended: failed") and has(lines, "attempt ended: retrying"))
    assert set(yard.states(list(ids.values()))) == {"completed", "failed", "cancelled"}
    assert [line for line in lines if MARKER in line] == []


def _submitted(yard: Yard, ask: Ask) -> dict[str, str]:
    """Hand over jobs, each with the marker as an argument; return their ids by what becomes of them."""
    asked: dict[str, dict[str, Any]] = {
        "completed": {"task": tasks.echo.name, "args": [MARKER]},
        "failed": {"task": tasks.fail_with.name, "kwargs": {"value": MARKER}},
        "secret": {"task": tasks.charge.name, "args": [MARKER]},
        "crashed": {"task": tasks.crash.name, "args": [MARKER, 1]},
        "cancelled": {"task": tasks.wait_at.name, "args": [MARKER]},
        "later": {"task": tasks.norm.name, "args": [{"x": 1, "y": 2}], "delay_s": 0.5},
    }
    ids = {}
    for name, body in asked.items():
        status, job = ask("POST", "/v1/jobs", {**body, "queue": yard.queue})
        assert status == 202, job
        ids[name] = job["id"]
    return ids


def _failing_again(yard: Yard, ask: Ask) -> str:
    """Submit a job that is retried; no process is killed any more, so its lines are in the log."""
    body = {"task": tasks.fail_with.name, "kwargs": {"value": MARKER}, "max_retries": 1}
    status, job = ask("POST", "/v1/jobs", {**body, "queue": yard.queue})
    assert status == 202, job
    return str(job["id"])


def _refused_over_rest(ask: Ask) -> None:
    add, marked = {"task": tasks.add.name}, {"args": [MARKER]}
    refused = [
        ("POST", "/v1/jobs", {**add, **marked}),
        ("POST", "/v1/jobs", {**add, "kwargs": {MARKER: MARKER}}),
        ("POST", "/v1/jobs", {"task": tasks.charge.name, "args": [[MARKER]]}),
        ("POST", "/v1/jobs", {"task": MARKER, **marked}),
        ("POST", "/v1/jobs", {**add, MARKER: MARKER}),
        ("POST", "/v1/jobs", f'{{"args": ["{MARKER}"'.encode()),
        ("POST", "/v1/jobs/batch", {"jobs": [{**add, **marked}]}),
        ("POST", "/v1/jobs/cancel", {"filter": {"tag": [MARKER]}}),
        ("GET", f"/v1/jobs?cursor={MARKER}", None),
        ("GET", f"/v1/{MARKER}?{MARKER}={MARKER}", None),
        ("POST", "/v1/schedules", {"name": "x", "every_s": 1, **add, **marked}),
    ]
    assert {ask(*each)[0] for each in refused} == {400, 404, 422}


def _malformed_over_http(url: str) -> None:
    """Send what is no request, or a request with a head or a body that cannot be read."""
    head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
    chunked = f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    malformed = [
        f"{MARKER}\r\n\r\n",
        f"{MARKER} / HTTP/1.1\r\n\r\n",
        f"GET {MARKER} HTTP/1.1\r\n\r\n",
        f"GET / {MARKER}\r\n\r\n",
        f"{head}{MARKER}\r\n\r\n",
        f"{head}{MARKER} : x\r\n\r\n",
        f"{head}X: {MARKER}\0\r\n\r\n",
        f"{head}Host: {MARKER}\r\n\r\n",
        f"{head}Content-Length: {MARKER}\r\n\r\n",
        f"{head}Transfer-Encoding: {MARKER}\r\n\r\n",
        f"{head}Expect: {MARKER}\r\n\r\n",
        f"{head}Content-Type: {MARKER}\r\nContent-Length: 1\r\n\r\n{{",
        f"{head}Content-Encoding: {MARKER}\r\nContent-Length: 1\r\n\r\n{{",
        f"{head}Authorization: Bearer {MARKER}\r\n\r\n",
        f"{head}Authorization: {MARKER}\r\nX-API-Key: {MARKER}\r\n\r\n",
        f"{head}Idempotency-Key: {MARKER}\x7f\r\nContent-Length: 0\r\n\r\n",
        f"{head}X-Request-Id: {MARKER} {MARKER}\r\ntraceparent: {MARKER}\r\n\r\n",
        f"{head}Prefer: wait={MARKER}\r\nCookie: {MARKER}={MARKER}\r\n\r\n",
        f"{chunked}{MARKER}\r\n",
        f"{chunked}2;{MARKER}=\0\r\n{{}}\r\n",
        f"{chunked}2\r\n{{}}{MARKER}\r\n",
        f"{chunked}2\r\n{{}}\r\n0\r\nHost: {MARKER}\r\n\r\n",
        f"GET /v1/jobs HTTP/1.1\r\nHost: {MARKER}\r\n\r\n",
        f"GET /metrics HTTP/1.1\r\nHost: {MARKER}\r\n\r\n",
        f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nOrigin: {MARKER}\r\n\r\n",
    ]
    host, port = url.removeprefix("http://").split(":")
    for each in malformed:
        with socket.create_connection((host, int(port)), 30) as client:
            client.sendall(each.encode("latin-1"))
            status = client.recv(12).removeprefix(b"HTTP/1.1 ").decode()
        assert status in ("400", "401", "403", "404", "415", "417", "422", "501"), (status, each)


def _published_malformed(yard: Yard) -> None:
    """Publish with properties, headers and bodies that make no sense, at each door."""
    headers: dict[str, Any] = {
        MARKER: MARKER,
        "taskyard-attempt": MARKER,
        "taskyard-reason": MARKER,
        "taskyard-failed-at": MARKER,
        "x-death": [{MARKER: [MARKER]}],
        "traceparent": MARKER,
    }
    strange = [
        pika.BasicProperties(headers=headers),
        pika.BasicProperties(reply_to=MARKER, correlation_id=MARKER),
        pika.BasicProperties(reply_to=f"amq.rabbitmq.reply-to.{MARKER}"),
        pika.BasicProperties(content_type=MARKER, content_encoding=MARKER, type=MARKER),
        pika.BasicProperties(app_id=MARKER, expiration="9999999"),
    ]
    bodies = [
        f'{{"task": "{MARKER}", "task": "{MARKER}"}}',
        f'{{"task": 1, "args": ["{MARKER}", NaN]}}',
        f'{{"args": ["{MARKER}\\ud800"]}}',
        f'{{"actor_name": "{tasks.add.name}", "args": ["{MARKER}"], "options": "{MARKER}"}}',
        f'"{MARKER}"',
        f"\xff{MARKER}",
    ]
    with yard.channel() as channel:
        channel.confirm_delivery()
        for properties, body in itertools.product(strange, bodies):
            raw = body.encode("latin-1")
            channel.basic_publish(SUBMIT_EXCHANGE, "", raw, properties)
            channel.basic_publish("", yard.queue, raw, properties)
            channel.basic_publish("", dead_queue(yard.queue), raw, properties)


def _published(yard: Yard) -> None:
    """Publish submissions, and messages straight to the queue, that are refused."""
    yard.publish(yard.body(tasks.add.name, MARKER))
    yard.publish(yard.body(tasks.add.name, kwargs={MARKER: MARKER}))
    yard.publish(yard.body("test.unknown", MARKER))
    yard.publish(f'{{"args": ["{MARKER}"'.encode())
    yard.publish(json.dumps({"actor_name": "a", "args": {MARKER: MARKER}}).encode())
    submissions: list[Any] = [
        {"task": tasks.add.name, "args": [MARKER]},
        {"task": MARKER, "args": [MARKER]},
        [{"task": tasks.add.name, "args": [MARKER], "queue": MARKER}],
        [MARKER],
    ]
    with yard.channel() as channel:
        channel.confirm_delivery()
        for each in submissions:
            channel.basic_publish(SUBMIT_EXCHANGE, "", json.dumps(each).encode())
        channel.basic_publish(SUBMIT_EXCHANGE, "", f"{MARKER}{{".encode())


def _scheduled(yard: Yard) -> None:
    """Add schedules whose arguments do not fit, or that cannot be read."""
    found = ScheduleRepository(yard.store)
    found.put(parse({"name": "unfit", "every_s": 1, "task": tasks.add.name, "args": [MARKER]}))
    unreadable = {"name": "unreadable", "every_s": 1, "task": tasks.add.name, "args": MARKER}
    yard.store.write_schedule(
        ScheduleWrite(
            name="unreadable",
            revision=0,
            spec=json.dumps(unreadable),
            state=msgspec.json.encode({"created_at": 0, "updated_at": 0, "cursor": 0}).decode(),
            version=1,
            due_at_ms=yard.store.now_ms(),
            events=[],
        )
    )


def _replayed(yard: Yard, ask: Ask, job_id: str) -> None:
    """Bring a dead letter back with another argument; it dies again."""
    poll(lambda: ask("GET", f"/v1/dead-letters/{job_id}")[0] == 200)
    before = yard.ended(job_id)
    replay = {"ids": [job_id], "kwargs": {"value": MARKER * 2}}
    assert ask("POST", "/v1/dead-letters/replay", replay)[0] == 202
    poll(
        lambda: (job := yard.job(job_id)) and job.state == "failed" and job.attempt > before.attempt
    )


def test_a_secret_is_nowhere_but_where_it_has_to_be(yard, ask):
    """Not in the job's error and traceback, its dead letter's headers, or the command line's output."""
    secret = f"secret-{uuid.uuid4().hex}"
    handle = yard.submit(tasks.charge, secret)
    job = yard.ended(handle.id)
    poll(lambda: ask("GET", f"/v1/dead-letters/{handle.id}")[0] == 200)
    status = f"from taskyard.cli import main; main(['status', '{handle.id}'"
    card = _command(f"{status}])", **yard.env)
    shown = _command(f"{status}, '-o', 'json'])", **yard.env)

    assert (job.state, job.message.args) == ("failed", [secret])
    assert job.error.message == f"{HIDDEN} has no 1"
    assert HIDDEN in job.error.traceback
    assert [HIDDEN] == json.loads(shown.stdout)["args"] == handle.document()["args"]
    assert f'"{HIDDEN}"' in card.stdout
    told = [ask("GET", path)[1] for path in (f"/v1/jobs/{job.id}", f"/v1/dead-letters/{job.id}")]
    assert secret not in f"{told}{card}{shown}{job.attempts}"
    assert yard.submit(tasks.charge, "abc", 0).get(timeout=30) == 3


def test_no_password_is_logged_or_shown(yard):
    """Of servers that are not there, and of those that do not take it: in logs and by `/readyz`."""
    lines: list[str] = []

    def service(name: str, amqp: int, store: int) -> Service:
        env = {
            **yard.env,
            "LOG_LEVEL": "debug",
            "BROKER_URL": f"amqp://user:{PASSWORD}@127.0.0.1:{amqp}/",
            "RESULT_BACKEND": f"redis://user:{PASSWORD}@127.0.0.1:{store}/0",
        }
        return Service(name, stack=yard.folder, env=env, checkout=CHECKOUT, on_line=lines.append)

    refusing = yard.rabbit.port, yard.redis.port
    services = [
        service("api", choose_port(), choose_port()),
        service("worker", *refusing),
        service("scheduler", *refusing),
    ]
    try:
        for each in services:
            each.start()
        told = [poll(partial(_not_ready, each)) for each in services]
        command = _command("from taskyard.cli import main; main(['jobs'])", **services[0].env)
    finally:
        for each in services:
            each.kill()

    assert command.returncode == 4
    assert "the store" in f"{told}"
    assert "RabbitMQ" in f"{told}"
    assert len(lines) > 3
    assert PASSWORD not in f"{told}{lines}{command}"


def _not_ready(service: Service) -> list[str]:
    """Return what `/readyz` complains of; empty while there is no answer."""
    try:
        urllib.request.urlopen(f"{service.url}/readyz", timeout=30).close()
    except urllib.error.HTTPError as error:
        with error:
            return list(json.load(error)["problems"])
    except OSError:
        pass
    return []


def _command(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
