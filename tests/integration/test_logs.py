"""What the services log: which request, job and trace a line is about, as JSON or for people."""

import json
import os
import pty
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from taskyard.message import new_id
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE
from taskyard.store.jobs import Change
from taskyard.telemetry import trace_context
from tests import worker_tasks as tasks
from tests.polling import poll

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
#: One line by Python's own logging, and one by structlog.
PROGRAM = """
import logging, structlog
from taskyard import config
from taskyard.telemetry import logs
logs.configure(config.load(), "test")
logging.getLogger("own").info("told by %s", "logging", extra={"fact": 7})
structlog.get_logger("own").warning("told by structlog", fact=8)
"""


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard(LOG_LEVEL="debug")
    api = yard.api()
    with yard.running(yard.worker(), yard.scheduler(), api):
        yard.url = api.url
        yield yard


def post(yard, path: str, body: object, **headers: str) -> dict[str, Any]:
    data = json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(yard.url + path, data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize(("task", "count"), [(tasks.chat, 3), (tasks.chat_later, 6)])
@pytest.mark.parametrize("traceparent", [TRACEPARENT, None])
def test_every_line_of_a_job_tells_which_it_is(yard, task, count, traceparent):
    """Whoever writes it: any library's logger, structlog, the job's own; in threads and coroutines."""
    body = yard.body(task.name, message_id=new_id(), options={"traceparent": traceparent})
    job_id = json.loads(body)["message_id"]
    yard.publish(body)

    words = {"a plain line", "a line of structlog", "a line of the job"}

    def told():
        lines = yard.logged(job_id=job_id)
        return lines if sum(line["event"] in words for line in lines) >= count else None

    lines = poll(told)

    facts = {
        "job_id": job_id,
        "task": task.name,
        "attempt": 1,
        "trace_id": trace_context.trace_id(traceparent, job_id),
        "service": "worker",
    }
    assert [line for line in lines if facts.items() <= line.items()] == lines
    assert words <= {line["event"] for line in lines}
    assert yard.ended(job_id).message.trace_id == facts["trace_id"]


def test_the_line_of_a_failed_attempt_tells_its_job(yard):
    """It is written by another thread than the task's, after its end."""
    handle = yard.submit(tasks.flaky, 1, max_retries=1)
    yard.ended(handle.id)

    (line,) = poll(lambda: yard.logged(job_id=handle.id, event="attempt ended: retrying"))

    assert (1, "ConnectionError", handle.document()["trace_id"]) == (
        line["attempt"],
        line["error_type"],
        line["trace_id"],
    )
    assert (line["level"], line["where"].partition(":")[0]) == ("warning", "tests/worker_tasks.py")
    assert "on purpose" not in json.dumps(line)
    (line,) = poll(lambda: yard.logged(job_id=handle.id, event="attempt ended: completed"))
    assert (line["level"], line["attempt"], line["queue"]) == ("info", 2, yard.queue)


def test_a_worker_says_at_its_start_what_it_serves(yard):
    """Queues, tasks and servers; once, though it has several processes."""
    (starts,) = poll(lambda: yard.logged(event="worker starts"))
    (knows,) = poll(lambda: yard.logged(event="worker knows its tasks"))

    assert starts["slots"] == yard.settings.worker_processes * yard.settings.worker_threads
    assert starts["store"].endswith(urlsplit(yard.settings.result_backend).path)
    assert knows["queues"] == sorted(yard.queues)
    assert tasks.add.name in knows["tasks"][tasks.QUEUE]
    poll(lambda: yard.logged(event="worker serves"))


def test_that_a_job_is_parked_is_said_once_for_its_task(yard):
    """However often it is looked at."""
    job_id = new_id()
    yard.publish(yard.body("nobody.knows", 1, message_id=job_id))
    first = poll(lambda: yard.job_in("scheduled", job_id))

    yard.store.change(job_id, Change(delay_ms=0))
    poll(lambda: (job := yard.job_in("scheduled", job_id)) and job.run_at > first.run_at)
    yard.client.handle(job_id).cancel()

    lines = poll(lambda: yard.logged(task="nobody.knows", level="warning"))
    assert len({(line["task"], line["event"]) for line in lines}) == 1
    assert len(lines) <= yard.settings.worker_processes
    assert lines[0]["event"].endswith("restart the worker after adding a task")


def test_the_line_of_a_submission_names_the_job(yard):
    """With the request's id and the caller's trace; the next request of the thread has neither."""
    asked = {"task": tasks.add.name, "args": [1], "queue": yard.queue}
    job = post(yard, "/v1/jobs", asked, traceparent=TRACEPARENT, **{"X-Request-Id": "mine-1"})
    other = post(yard, "/v1/jobs", asked, **{"X-Request-Id": "mine-2"})
    for _ in range(40):  # more than there are threads
        urllib.request.urlopen(f"{yard.url}/", timeout=30).close()

    (line,) = poll(lambda: yard.logged(request_id="mine-1", event="request"))
    assert tuple(line[name] for name in ("job_id", "task", "trace_id")) == (
        job["id"],
        tasks.add.name,
        TRACE,
    )
    (line,) = poll(lambda: yard.logged(request_id="mine-2", event="request"))
    assert (other["id"], other["trace_id"]) == (line["job_id"], line["trace_id"])
    poll(lambda: len(yard.logged(event="request", route="/")) >= 40)
    lines = yard.logged(event="request", route="/")
    assert not [line for line in lines if {"job_id", "task", "trace_id"} & line.keys()]


def test_the_line_of_a_batch_names_its_first_jobs(yard):
    """And how many they are."""
    asked = [{"task": tasks.add.name, "args": [1], "queue": yard.queue}] * 30
    batch = post(yard, "/v1/jobs/batch", {"jobs": asked}, **{"X-Request-Id": "many"})

    (line,) = poll(lambda: yard.logged(request_id="many", event="request"))

    assert line["jobs"] == 30
    assert [item["id"] for item in batch["items"]][:20] == line["job_ids"]


def test_a_refused_request_s_line_has_its_id_and_trace(yard):
    """So what a client reports can be found."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(yard, "/v1/jobs", {}, traceparent=TRACEPARENT, **{"X-Request-Id": "bad-1"})
    caught.value.close()

    (line,) = poll(lambda: yard.logged(request_id="bad-1", event="request"))

    assert (line["status"], line["trace_id"]) == (422, TRACE)


def test_the_intake_s_lines_have_the_message_s_id_and_trace(yard):
    """Of what is accepted, and of what is refused."""
    for message_id, body in (("good-1", {"task": tasks.add.name, "args": [1]}), ("bad-1", {})):
        with yard.channel() as channel:
            properties = pika.BasicProperties(
                message_id=message_id, headers={"traceparent": TRACEPARENT}
            )
            channel.basic_publish(
                SUBMIT_EXCHANGE, yard.queue, json.dumps(body).encode(), properties
            )

    (good,) = poll(lambda: yard.logged(message_id="good-1", event="submission accepted"))
    (bad,) = poll(lambda: yard.logged(message_id="bad-1", event="submission refused"))

    assert (good["job_id"], good["trace_id"]) == ("good-1", TRACE)
    assert (bad["code"], bad["trace_id"]) == ("invalid", TRACE)
    yard.ended("good-1")


def test_no_line_has_an_argument_a_result_or_the_text_of_an_error(yard):
    """At any level, through any door, whether the task succeeds or not."""
    asked = {"task": tasks.echo.name, "queue": yard.queue, "args": ["hush"]}
    over_http = post(yard, "/v1/jobs", asked)["id"]
    refused = {"task": tasks.echo.name, "args": ["hush", "hush"]}
    with yard.channel() as channel:
        for body, message_id in ((asked, "secret-1"), (refused, "secret-2")):
            channel.basic_publish(
                SUBMIT_EXCHANGE,
                yard.queue,
                json.dumps(body).encode(),
                pika.BasicProperties(message_id=message_id),
            )
    failed = yard.submit(tasks.fail_until, "hush", max_retries=0).id

    assert [yard.ended(job_id).state for job_id in (over_http, "secret-1", failed)] == [
        "completed",
        "completed",
        "failed",
    ]
    poll(lambda: yard.logged(message_id="secret-2", event="submission refused"))
    (line,) = poll(lambda: yard.logged(job_id=failed, event="attempt ended: failed"))
    facts = [line[name] for name in ("level", "reason", "see")]
    assert facts == ["error", "retries_exhausted", f"taskyard status {failed}"]
    assert [line for line in yard.lines if "hush" in line] == []


def test_services_write_nothing_but_json_into_a_pipe(yard):
    """With service, time, level and logger on each line."""
    assert yard.lines
    for line in map(json.loads, list(yard.lines)):
        assert {"service", "timestamp", "level", "logger", "event"} <= line.keys()


@pytest.mark.parametrize("form", ["auto", "console", "json"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_lines_are_json_in_a_pipe_and_readable_on_a_terminal(form, is_terminal):
    """LOG_FORMAT overrides; colours are for terminals only."""
    text = _output({"LOG_FORMAT": form}, is_terminal=is_terminal)

    first, second = text.splitlines()
    assert ("\x1b[" in text) == (is_terminal and form != "json")
    if form == "json" or (form == "auto" and not is_terminal):
        assert {"event": "told by logging", "fact": 7, "level": "info"}.items() <= json.loads(
            first
        ).items()
        assert {"event": "told by structlog", "fact": 8, "service": "test"}.items() <= json.loads(
            second
        ).items()
    else:
        assert "told by logging" in first
        assert "told by structlog" in second


#: What a stranger may call anything: it ends lines, moves the cursor, and turns around what follows.
EVIL = "x\n2026-11-24T10:00:00Z [info] forged\r\x1b[2J\u202e\x9b\u2028y"
EVIL_PROGRAM = f"""
import logging, structlog
from taskyard import config
from taskyard.telemetry import logs
logs.configure(config.load(), "test")
evil = {EVIL!r}
class Odd:
    def __repr__(self):
        return evil
facts = {{"fact": evil, "short": chr(27), "some": [evil], "named": {{evil: evil}}, "odd": Odd(), evil: 1}}
logging.getLogger(evil).info("told %s", evil, extra=facts)
structlog.get_logger("own").info(evil, **facts)
try:
    raise ValueError(evil)
except ValueError as error:
    logging.getLogger("own").exception("failed: %s", error)
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_names_of_others_make_no_lines(form):
    """Nor move the cursor, or turn text around; each line of a traceback is indented."""
    text = _output({"LOG_FORMAT": form}, is_terminal=False, program=EVIL_PROGRAM)

    lines = text.split("\n")
    assert lines.pop() == ""
    assert [line for line in lines if not line.isprintable()] == []
    assert len([line for line in lines if not line.startswith("  ")]) == 3
    assert [line for line in lines if line.startswith("2026-11-24")] == []


FAILING_PROGRAM = """
import logging
from taskyard import config
from taskyard.telemetry import logs
logs.configure(config.load(), "test")
for name in ("services.api", "taskyard.runtime.lifecycle", "gunicorn.error", "task.mine"):
    try:
        int("what was sent")
    except ValueError:
        logging.getLogger(name).exception("failed")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_errors_of_services_do_not_quote_what_was_sent(form):
    """Their type and place are told; what a task logs of its own errors is its own."""
    text = _output({"LOG_FORMAT": form}, is_terminal=False, program=FAILING_PROGRAM)

    assert text.count("ValueError") == 4
    assert text.count("10: 'what was sent'") == 1


def _output(env: dict[str, str], *, is_terminal: bool, program: str = PROGRAM) -> str:
    """Return what the program writes to standard error."""
    command = [sys.executable, "-c", program]
    env = {**os.environ, "TERM": "xterm", **env}
    if not is_terminal:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    subprocess.run(command, env=env, stderr=theirs, check=True)
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(ours)
    return text.decode()
