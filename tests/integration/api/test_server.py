"""The API as a process under gunicorn: how it starts, what it logs, how it stops."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import redis

from services.api.server import worker as http_worker
from taskyard.local_servers.ports import choose_port
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

ROOT = Path(__file__).resolve().parents[3]

#: The API, which cuts nobody off for being slow before it stops.
TOLERANT = """
import sys
from services.api import __main__
from services.api.server import connection, crowd, incoming, serve
serve.GRACE_S = 1
crowd.PATIENCE_S = connection.PATIENCE_S = incoming.PATIENCE_S = 600
sys.exit(__main__.main())
"""

#: The API, which gives requests longer to come and to finish than a test waits for its end.
PATIENT = TOLERANT.replace("GRACE_S = 1", "GRACE_S = 600")

#: Long before anybody would be cut off for being slow. Seconds.
SOON_S = 10


class Server:
    """A running API.

    Args:
        folder: Where its log goes.
        environment: Settings, by the names of their variables.
        program: What Python is to run.
    """

    def __init__(self, folder: Path, environment: dict[str, Any], *program: str) -> None:
        self._log = folder / "api.log"
        port = int(environment["API_PORT"])
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        with self._log.open("wb") as log:
            self.process = start(environment, log, *program)

    def answers(self) -> bool:
        """Whether it has started; fails if it has ended."""
        assert self.process.poll() is None, self._log.read_text()
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    def is_refused(self) -> bool:
        """Whether nobody listens on its port."""
        try:
            self.http.get("/healthz")
        except httpx2.ConnectError:
            return True
        except httpx2.TransportError:
            return False
        return False

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def start(environment: dict[str, Any], stderr: Any, *program: str) -> subprocess.Popen[bytes]:
    """Start `python -m services.api`, or another program."""
    variables = os.environ | {name: str(value) for name, value in environment.items()}
    variables["PYTHONPATH"] = f"{ROOT / 'shared'}:{ROOT}"
    command = [sys.executable, *(program or ("-m", "services.api"))]
    return subprocess.Popen(command, env=variables, stderr=stderr)


@contextmanager
def running(folder: Path, environment: dict[str, Any], *program: str) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = Server(folder, environment, *program)
    try:
        poll(server.answers)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server.http.close()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection takes."""
    return choose_port()


@pytest.fixture
def environment(settings, free_port) -> dict[str, Any]:
    """The variables of a server on the tests' RabbitMQ and Redis."""
    return {
        "BROKER_URL": settings.broker_url,
        "RESULT_BACKEND": settings.result_backend,
        "KEY_PREFIX": settings.key_prefix,
        "API_PORT": free_port,
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }


def test_it_serves_and_tells_each_request_once(tmp_path, environment, catalogued):
    """A job can be submitted; the log has one line for it, and none for probes or arguments."""
    with running(tmp_path, environment) as server:
        poll(lambda: server.http.get("/readyz").status_code == 200)
        submitted = server.http.post(
            "/v1/jobs",
            json={"task": "echo", "args": ["a secret"]},
            headers={"X-Request-Id": "my-request"},
        )
        shown = server.http.get(submitted.headers["Location"])
        measured = server.http.get("/metrics").text
        assert server.stop() == 0
        lines = server.lines()

    assert (submitted.status_code, shown.status_code) == (202, 200)
    # A probe that fails is logged: it may not be ready at once.
    requests = [line for line in lines if line["event"] == "request" and line["status"] != 503]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/v1/jobs", 202),
        ("/v1/jobs/<job_id>", 200),
    ]
    assert requests[0]["request_id"] == "my-request" == submitted.headers["X-Request-Id"]
    assert requests[1]["request_id"] == shown.headers["X-Request-Id"]
    assert {line["service"] for line in lines} == {"api"}
    assert "a secret" not in json.dumps(lines)
    counted = 'taskyard_http_requests_total{method="POST",route="/v1/jobs",status="202"} 1.0'
    assert counted in measured


def test_a_large_body_of_unstated_length_is_refused(tmp_path, environment):
    """A body that comes in chunks is cut off at the limit, and told as too large."""
    with running(tmp_path, environment | {"PAYLOAD_MAX_BYTES": 1024}) as server:
        answer = server.http.post(
            "/v1/jobs",
            content=iter([b"{", b" " * 2000, b"}"]),
            headers={"Content-Type": "application/json"},
        )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def slow_senders(port: int, count: int) -> Iterator[socket.socket]:
    """Give clients that have begun to send a request."""
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port))
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
        client.sendall(head if number % 2 else head + b"Content-Length: 99\r\n\r\n{")
        yield client


def slow_readers(port: int, count: int) -> Iterator[socket.socket]:
    """Give clients that ask for much, and take nothing of it."""
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield client


@pytest.mark.parametrize("most", [0, 256])
def test_a_thousand_slow_clients_keep_nobody_waiting(tmp_path, environment, catalogued, most):
    """Probes and submissions are answered while they send a byte now and then; from one address, too."""
    port = environment["API_PORT"]
    more = {"API_CONNECTIONS_PER_ADDRESS": most, "API_THREADS": 2}
    with ExitStack() as opened, running(tmp_path, environment | more, "-c", TOLERANT) as server:
        poll(lambda: server.http.get("/readyz").status_code == 200)
        senders = [opened.enter_context(each) for each in slow_senders(port, 500)]
        readers = [opened.enter_context(each) for each in slow_readers(port, 500)]
        for _ in range(3):
            for each in senders:
                with suppress(OSError):  # one that was cut off
                    each.sendall(b"x")
            for each in readers:
                with suppress(OSError):
                    each.recv(1)
            assert server.http.get("/healthz", timeout=SOON_S).status_code == 200
            submitted = server.http.post("/v1/jobs", json={"task": "echo"}, timeout=SOON_S)
            assert submitted.status_code == 202


def _answers(server: Server, path: str) -> bool:
    """Return whether a request is answered; False if its connection is one that goes."""
    with suppress(httpx2.ReadError):
        return server.http.get(path, timeout=SOON_S).status_code == 200
    return False


def test_very_many_clients_at_once_take_no_more_files_than_there_are(tmp_path, environment):
    """Those that are too many go before others are taken in, and probes are answered."""
    with ExitStack() as opened, running(tmp_path, environment | {"API_CONNECTIONS": 50}) as server:
        (worker,) = psutil.Process(server.process.pid).children()
        most = 50 + http_worker.OTHER_FILES
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (most, most))
        worker.suspend()
        for _ in range(4 * most):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", environment["API_PORT"]))
        worker.resume()

        # The first may come among those that go: the others are still on their way in.
        poll(lambda: _answers(server, "/healthz"))
        assert [line for line in server.lines() if line["level"] == "error"] == []


def test_it_stops_at_once_when_idle(tmp_path, environment):
    """SIGTERM ends it in good order."""
    with running(tmp_path, environment, "-c", PATIENT) as server:
        server.http.close()

        assert server.stop() == 0


def test_it_stops_early_though_a_request_waits(tmp_path, environment, submit):
    """A waiting request is answered with the job as it is, and does not hold up the stop."""
    job_id = submit(delay_s=3600)
    answers = []
    with running(tmp_path, environment) as server:
        url = f"/v1/jobs/{job_id}?wait_s=50"
        waiting = threading.Thread(target=lambda: answers.append(server.http.get(url)))
        waiting.start()
        poll(lambda: "\ntaskyard_http_waits 1.0\n" in server.http.get("/metrics").text)

        started = time.monotonic()
        status = server.stop()
        took_s = time.monotonic() - started
        waiting.join(30)

    assert (status, answers[0].status_code, answers[0].json()["state"]) == (0, 200, "scheduled")
    assert took_s < 20  # the request would wait for 50


def test_a_wait_whose_client_has_left_gives_its_place_back(tmp_path, environment, submit):
    """Long before its time is over."""
    job_id = submit(delay_s=3600)
    with running(tmp_path, environment | {"WAIT_MAX_S": 600}) as server:

        def waits(count):
            return f"\ntaskyard_http_waits {count}.0\n" in server.http.get("/metrics").text

        with socket.create_connection(("127.0.0.1", environment["API_PORT"])) as client:
            head = f"GET /v1/jobs/{job_id}?wait_s=600 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            client.sendall(head.encode())
            poll(lambda: waits(1))

        poll(lambda: waits(0))


def test_the_next_can_start_while_what_was_killed_still_answers(tmp_path, environment):
    """The worker that outlives its master ends its requests, and takes no more of them."""
    port = environment["API_PORT"]
    with running(tmp_path, environment, "-c", PATIENT) as server:
        (orphan,) = psutil.Process(server.process.pid).children()
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert server.http.get("/healthz").status_code == 200  # the other one is there, too
            server.process.kill()
            poll(server.is_refused)
            with running(tmp_path, environment) as successor:
                slow.sendall(b"Host: here\r\n\r\n")
                assert slow.recv(12) == b"HTTP/1.1 200"
                assert successor.stop() == 0
        poll(lambda: not orphan.is_running())


def test_it_starts_without_store_and_broker(tmp_path, environment):
    """Servers may come later: it starts, and `/readyz` says within two seconds what is missing."""
    away = {
        "BROKER_URL": "amqp://127.0.0.1:1/",
        "RESULT_BACKEND": "redis://127.0.0.1:1/0",
    }

    with running(tmp_path, environment | away) as server:
        started = time.monotonic()
        answer = server.http.get("/readyz")
        took_s = time.monotonic() - started

    assert answer.status_code == 503
    assert len(answer.json()["problems"]) == 2
    assert took_s < 20


@pytest.fixture
def redis_client(result_backend) -> Iterator[Any]:
    """A client of the tests' Redis."""
    with redis.Redis.from_url(result_backend, decode_responses=True) as client:
        yield client


def ended(environment: dict[str, Any]) -> tuple[int, str]:
    """Run a server that ends by itself; return its exit status and what it said."""
    process = start(environment, subprocess.PIPE)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.decode()


def test_wrong_settings_end_it_with_every_fault_named(environment):
    """Exit status 2 and a message for people, no traceback."""
    status, said = ended(environment | {"API_PORT": "many", "MAX_RETRIES": "-1"})

    assert status == 2
    assert "API_PORT='many'" in said
    assert "MAX_RETRIES='-1'" in said
    assert "Traceback" not in said


def test_a_store_that_throws_jobs_away_ends_it(environment, redis_client):
    """A Redis that evicts keys is refused at the start."""
    before = redis_client.config_get("maxmemory*")
    redis_client.config_set("maxmemory", "1gb")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        status, said = ended(environment)
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            redis_client.config_set(name, before[name])

    assert status == 2
    assert "noeviction" in said
    assert "Traceback" not in said
