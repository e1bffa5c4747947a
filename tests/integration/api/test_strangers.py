"""What a stranger may send to a running API: each is answered as a problem that says what and where."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from taskyard.catalogue import describe
from taskyard.client import defaults
from tests import worker_tasks as tasks
from tests.polling import poll

MAX_BYTES = 2000
THREADS = 12
ADD = tasks.add.name
GOOD = json.dumps({"task": ADD, "args": [1]}).encode()


class Api:
    """A running API, spoken to byte by byte.

    Args:
        url: Where it is.
        queue: A queue that it knows.
    """

    def __init__(self, url: str, queue: str) -> None:
        self.queue = queue
        host, port = url.removeprefix("http://").split(":")
        self.address = (host, int(port))

    def send(self, request: bytes) -> tuple[HTTPResponse, Any]:
        """Send these bytes; return the answer and its document, None without one."""
        method = request.partition(b" ")[0].decode("latin-1")
        with socket.create_connection(self.address, 20) as connection:
            connection.sendall(request)
            answer = HTTPResponse(connection, method=method)
            answer.begin()
            body = answer.read()
        return answer, json.loads(body) if body else None

    def ask(self, line: str, *headers: str, body: bytes = b"") -> tuple[HTTPResponse, Any]:
        """Send a request with this first line and these headers."""
        sent = ["Host: localhost", "Connection: close", *headers]
        if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in sent):
            sent.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([f"{line} HTTP/1.1", *sent, "", ""])
        return self.send(head.encode("latin-1") + body)


@pytest.fixture(scope="module")
def api(make_yard):
    yard = make_yard(PAYLOAD_MAX_BYTES=str(MAX_BYTES), API_THREADS=str(THREADS))
    process = yard.api()
    with yard.running(process):
        told = describe(tasks.add, defaults(tasks.add.options, yard.settings))
        yard.store.declare([told], yard.queues)
        yield Api(process.url, yard.queues[0])


def refused(answer: tuple[HTTPResponse, Any], status: int, code: str) -> dict[str, Any]:
    """Check that an answer is this problem, and return its document."""
    response, problem = answer
    assert (response.status, problem["code"]) == (status, code), problem
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (status, response.headers["X-Request-Id"]) == (
        problem["status"],
        problem["request_id"],
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert problem["title"]
    assert problem["detail"]
    return dict(problem)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*chunks, b""))


JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", [JSON], 400, "bad_request"),
        (b"", [], 400, "bad_request"),
        (b"{", [JSON], 400, "bad_request"),
        (b'{"task": "x"}}', [JSON], 400, "bad_request"),
        (b"\xff\xfe{\x00}\x00", [JSON], 400, "bad_request"),
        (b"\xef\xbb\xbf{}", [JSON], 400, "bad_request"),
        (b'{"task": "\x00"}', [JSON], 400, "bad_request"),
        (b"{}" + b" " * MAX_BYTES, [JSON], 413, "too_large"),
        (chunked(b"{", b" " * MAX_BYTES), [JSON, "Transfer-Encoding: chunked"], 413, "too_large"),
        (chunked(b"{", b'"'), [JSON, "Transfer-Encoding: chunked"], 400, "bad_request"),
        (GOOD, ["Content-Type: text/plain"], 415, "unsupported_media_type"),
        (GOOD, ["Content-Type: multipart/form-data; boundary=x"], 415, "unsupported_media_type"),
        (GOOD, [JSON, "Content-Encoding: gzip"], 415, "unsupported_media_type"),
        (GOOD, [JSON, "Content-Length: -1"], 400, "bad_request"),
        (GOOD, [JSON, "Content-Length: many"], 400, "bad_request"),
        (GOOD, [JSON, "Content-Length: 2", "Transfer-Encoding: chunked"], 400, "bad_request"),
        (GOOD, [JSON, "Transfer-Encoding: zip"], 501, "unsupported_coding"),
        (GOOD, [JSON, f"X-Long: {'x' * 20_000}"], 431, "headers_too_large"),
        (GOOD, [JSON, *(f"X-{n}: 1" for n in range(200))], 431, "headers_too_large"),
        (GOOD, [JSON, "No colon"], 400, "bad_request"),
        (GOOD, [JSON, "X: a\x00b"], 400, "bad_request"),
    ],
)
def test_a_submission_that_cannot_be_read_is_a_problem(api, body, headers, status, code):
    """Whoever finds the fault, the server or the application."""
    refused(api.ask("POST /v1/jobs", *headers, body=body), status, code)


def submission(**fields: Any) -> bytes:
    return json.dumps({"task": ADD, "args": [1], **fields}).encode()


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b"[]", "", "type"),
        (b"null", "", "type"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "", "too_deep"),
        (b"[" * 1500, "", "too_deep"),
        (b'{"task": "x", "task": "y"}', "/task", "duplicate_name"),
        (b'{"args": [{"a": 1, "a": 2}]}', "/args/0/a", "duplicate_name"),
        (b'{"args": [NaN]}', "/args/0", "not_finite"),
        (b'{"args": [1e400]}', "/args/0", "not_finite"),
        (b'{"kwargs": {"a": "\\ud800"}}', "/kwargs/a", "not_unicode"),
        (b'{"args": []}', "/task", "missing"),
        (submission(task="nobody"), "/task", "unknown_task"),
        (submission(task="x\n"), "/task", "string_pattern_mismatch"),
        (submission(task=None), "/task", "string_type"),
        (submission(args={}), "/args", "list_type"),
        (submission(args=["x"]), "/args/0", "type"),
        (submission(args=[1, 2, 3]), "/args", "too_many"),
        (submission(kwargs={"": 1}), "/kwargs/", "unknown_argument"),
        (submission(kwargs={"a/~b": 1}), "/kwargs/a~1~0b", "unknown_argument"),
        (submission(id=""), "/id", "string_pattern_mismatch"),
        (submission(id="x" * 129), "/id", "string_pattern_mismatch"),
        (submission(id="../x"), "/id", "string_pattern_mismatch"),
        (submission(id="count"), "/id", "reserved"),
        (submission(id="nightly:20261125T023000Z"), "/id", "fire_id"),
        (submission(queue="nowhere"), "/queue", "unknown_queue"),
        (submission(queue="x.dead"), "/queue", "reserved"),
        (submission(priority=10), "/priority", "less_than_equal"),
        (submission(priority=True), "/priority", "int_type"),
        (submission(priority=10**30), "/priority", "less_than_equal"),
        (submission(delay_s=-1), "/delay_s", "greater_than_equal"),
        (submission(delay_s=1e300), "/delay_s", "less_than_equal"),
        (submission(delay_s=1, run_at="2030-01-01T00:00:00Z"), "/run_at", "conflict"),
        (submission(run_at="tomorrow"), "/run_at", "value_error"),
        (submission(run_at="2030-01-01T00:00:00"), "/run_at", "value_error"),
        (submission(run_at="9999-12-31T23:59:59Z"), "/run_at", "value_error"),
        (submission(expires_s=0), "/expires_s", "greater_than"),
        (submission(max_retries=1.5), "/max_retries", "int_type"),
        (submission(tags=["x"] * 21), "/tags", "too_long"),
        (submission(tags=["x" * 101]), "/tags/0", "string_too_long"),
        (submission(colour="red"), "/colour", "extra_forbidden"),
        (submission(__proto__={}), "/__proto__", "extra_forbidden"),
    ],
)
def test_a_submission_with_a_fault_is_refused_at_its_place(api, body, pointer, code):
    """With the pointer of the field."""
    problem = refused(api.ask("POST /v1/jobs", JSON, body=body), 422, "invalid")

    assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in problem["errors"]]


@pytest.mark.parametrize(
    ("line", "headers", "parameter"),
    [
        ("GET /v1/jobs?limit=0", [], "limit"),
        ("GET /v1/jobs?limit=%00", [], "limit"),
        ("GET /v1/jobs?state=%ff", [], "state"),
        ("GET /v1/jobs?colour=%0d%0aSet-Cookie:x", [], "colour"),
        ("GET /v1/jobs?cursor=" + "A" * 3000, [], "cursor"),
        ("GET /v1/jobs?created_after=0001-01-01T00:00:00Z", [], "created_after"),
        ("GET /v1/jobs/count?queue=" + "x" * 101, [], "queue"),
        ("GET /v1/jobs/x?wait_s=nan", [], "wait_s"),
        ("GET /v1/jobs/x?wait_s=1e9", [], "wait_s"),
        ("GET /v1/events?state=late", [], "state"),
        ("GET /v1/dead-letters?limit=-1", [], "limit"),
        ("GET /v1/dead-letters?cursor=AAAA", [], "cursor"),
        ("POST /v1/jobs", [JSON, f"Idempotency-Key: {'x' * 256}"], "Idempotency-Key"),
        ("POST /v1/jobs", [JSON, "Idempotency-Key: \xe9"], "Idempotency-Key"),
    ],
)
def test_a_bad_parameter_is_named(api, line, headers, parameter):
    """Of the query or of a header."""
    problem = refused(api.ask(line, *headers, body=GOOD if headers else b""), 422, "invalid")

    assert [fault["parameter"] for fault in problem["errors"]] == [parameter]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/V1/jobs",
        "/v2/jobs",
        "/v1/jobs/",
        "/v1//jobs",
        "/v1/jobs//events",
        "/v1/jobs/x/y/z",
        "/v1/jobs/../tasks",
        "/v1/jobs%2fcount/x",
        "/docs/../../etc/passwd",
        "/.env",
        "/%00",
    ],
)
def test_an_unknown_path_is_a_problem(api, path):
    """No redirect, no page, no file."""
    refused(api.ask(f"GET {path}"), 404, "unknown_path")


@pytest.mark.parametrize("job_id", ["%00", "%ff", "x%0d%0ax", "x" * 3000, "%2e%2e", "'; --", "*"])
def test_an_id_that_nobody_has_is_a_problem(api, job_id):
    """Whatever is in it, nothing of it gets out but as text."""
    path = f"/v1/jobs/{job_id.replace(' ', '%20')}"
    for line in (f"GET {path}", f"DELETE {path}", f"POST {path}/cancel", f"POST {path}/retry"):
        refused(api.ask(line), 404, "not_found")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("DELETE /v1/jobs", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PUT /v1/jobs/x", {"GET", "HEAD", "OPTIONS", "PATCH", "DELETE"}),
        ("POST /healthz", {"GET", "HEAD", "OPTIONS"}),
        ("GET /v1/jobs/x/cancel", {"POST", "OPTIONS"}),
        ("TRACE /", {"GET", "HEAD", "OPTIONS"}),
        ("BREW /", {"GET", "HEAD", "OPTIONS"}),
        ("GET /v1/jobs/retry/retry", {"POST", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_there_is_a_problem(api, line, allowed):
    """With those that are; X-HTTP-Method-Override changes nothing."""
    answer = api.ask(line, "X-HTTP-Method-Override: GET")

    refused(answer, 405, "method_not_allowed")
    assert set(answer[0].headers["Allow"].split(", ")) == allowed


def test_head_and_options_are_answered(api):
    """Without a body: HEAD as GET would be, OPTIONS with what is possible."""
    for path, status in (("/v1/jobs", 200), ("/nothing", 404), ("/v1/events", 200)):
        response, document = api.ask(f"HEAD {path}")
        assert (response.status, document) == (status, None)
    response, document = api.ask("OPTIONS /v1/jobs")
    assert (response.status, document) == (200, None)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"hello\r\n\r\n", 400, "bad_request"),
        (b"GET * HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: miracles\r\n\r\n",
            417,
            "expectation_failed",
        ),
    ],
)
def test_what_is_no_request_is_a_problem(api, request_, status, code):
    """Told by the server itself, in the same form."""
    refused(api.send(request_), status, code)


@pytest.mark.parametrize("action", ["pause", "purge"])
def test_a_body_of_unstated_length_is_not_left_out(api, action):
    """It says what not to do: without it, a dry run would be none."""
    headers = ["Transfer-Encoding: chunked"]
    body = chunked(b'{"dry_run": true}')

    answer = api.ask(f"POST /v1/queues/{api.queue}/{action}", *headers, body=body)

    refused(answer, 415, "unsupported_media_type")


def test_a_header_from_outside_cannot_spoil_an_answer(api):
    """An unsafe request id is replaced; what Accept asks for is not given, but JSON always is."""
    response, document = api.ask("GET /healthz", "X-Request-Id: a\tb", "Accept: image/png")

    assert (response.status, document["ok"]) == (200, True)
    assert "\t" not in response.headers["X-Request-Id"]
    assert response.headers["Content-Type"] == "application/json"


def test_streams_do_not_keep_requests_waiting(api):
    """All places for streams are taken, by clients that read nothing; all else is answered as before."""
    streams: list[HTTPConnection] = []
    while True:
        host, port = api.address
        streams.append(HTTPConnection(host, port, timeout=30))
        streams[-1].request("GET", "/v1/events")
        if (answer := streams[-1].getresponse()).status != 200:
            break
    assert (answer.status, json.load(answer)["code"]) == (503, "too_many_streams")
    assert 1 <= len(streams) - 1 <= (THREADS - 8) // 2

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.ask("POST /v1/jobs", JSON, body=GOOD), range(40)))
    assert {response.status for response, _ in answers} == {202}
    assert time.monotonic() - started < 30

    for each in streams:
        each.close()
    # Long before anything is sent to those that have left.
    poll(lambda: api.ask("HEAD /v1/events")[0].status == 200)
