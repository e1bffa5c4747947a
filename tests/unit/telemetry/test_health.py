"""Health and metrics over HTTP."""

import http.client
import json
import os
import socket
from contextlib import contextmanager, suppress
from select import select

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from taskyard.telemetry import health
from taskyard.telemetry.health import HealthServer
from tests.polling import poll


class Probes:
    """What the server is told to say."""

    def __init__(self) -> None:
        self.sick: list[str] = []
        self.unready: list[str] = []


@pytest.fixture
def probes():
    return Probes()


@pytest.fixture
def server(probes, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE_S", 600)
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    server = HealthServer(
        "127.0.0.1",
        0,
        registry=registry,
        sick=lambda: probes.sick,
        unready=lambda: probes.unready,
        hosts=["worker"],
    )
    server.start()
    yield server
    server.stop()


def get(server, path, host="localhost"):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose"])
def test_all_is_well(server, path):
    """200, and no problems."""
    status, body = get(server, path)

    assert (status, json.loads(body)) == (200, {"ok": True, "problems": []})


def test_what_keeps_it_from_serving_does_not_make_it_sick(server, probes):
    """An outage elsewhere is no reason to restart this process."""
    probes.unready = ["the store does not answer"]

    assert get(server, "/healthz")[0] == 200
    assert (
        get(server, "/readyz")[0],
        json.loads(get(server, "/readyz")[1]),
    ) == (503, {"ok": False, "problems": ["the store does not answer"]})


def test_metrics_are_in_the_text_format(server):
    """For Prometheus to read."""
    status, body = get(server, "/metrics")

    assert status == 200
    assert b"things_total 3.0" in body


def test_other_paths_are_not_found(server):
    """With a word on what there is."""
    assert (get(server, "/")[0], b"/metrics" in get(server, "/")[1]) == (404, True)


@pytest.mark.parametrize(
    "host", ["localhost:9100", "127.0.0.1", "[::1]:1", "worker", "Worker:9100"]
)
def test_metrics_are_told_by_our_names(server, host):
    """Those of loopback, and those of the settings."""
    assert get(server, "/metrics", host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.1:9100", "worker.evil.example", "x@worker", ""]
)
def test_metrics_are_not_told_by_the_name_of_a_page(server, host):
    """It may resolve to this machine; probes are answered by any name."""
    status, body = get(server, "/metrics", host)

    assert (status, b"things" in body) == (403, False)
    assert repr(host).encode() in body
    assert get(server, "/healthz", host)[0] == 200


def test_no_answer_is_kept_framed_or_guessed_at(server):
    """Whatever it is."""
    for path in ("/metrics", "/healthz", "/nothing"):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = client.makefile("rb").read()
        assert b"X-Content-Type-Options: nosniff\r\n" in head
        assert b"Cache-Control: no-store\r\n" in head
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"405"),
        (b"\xff / x\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused(server, sent, status):
    """And the connection ends, whatever follows."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(sent + b"GET /metrics HTTP/1.1\r\n\r\n")
        answer = client.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"things" not in answer


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: local"])
def test_slow_clients_do_not_stop_the_others(server, sent):
    """Whatever they have begun; of too many the first one goes."""
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(health.CLIENTS)]
    for each in slow:
        with suppress(OSError):
            each.sendall(sent)

    assert get(server, "/healthz")[0] == 200
    slow[0].settimeout(30)
    with suppress(ConnectionResetError):
        assert slow[0].recv(1) == b""
    for each in slow:
        each.close()


def test_a_client_that_takes_nothing_does_not_stop_the_others(probes, monkeypatch):
    """It is cut off when its time is over."""
    monkeypatch.setattr(health, "BYTES_PER_S", 1e9)
    registry = CollectorRegistry()
    Gauge("things", "x" * 10_000_000, registry=registry)
    server = HealthServer("127.0.0.1", 0, registry=registry, sick=list, unready=list)
    server.start()
    try:
        with asks_and_takes_nothing(server):
            poll(lambda: server.clients == 1)
            assert get(server, "/healthz")[0] == 200
        poll(lambda: server.clients == 0)
        monkeypatch.setattr(health, "PATIENCE_S", 0.2)
        with asks_and_takes_nothing(server) as slow:
            poll(lambda: select([slow], [], [], 0)[0])
            poll(lambda: server.clients == 0)
    finally:
        server.stop()


@contextmanager
def asks_and_takes_nothing(server):
    """Ask for all metrics, and read none of them."""
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield slow


def test_it_is_served_by_who_has_no_thread_for_it(probes):
    """Step by step, none of which waits for a client."""
    server = HealthServer("127.0.0.1", 0, registry=CollectorRegistry(), sick=list, unready=list)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /heal")
        server.step()
        client.sendall(b"thz HTTP/1.1\r\n\r\n")
        client.settimeout(0.01)

        def has_answer():
            server.step()
            with suppress(TimeoutError):
                return client.recv(100).startswith(b"HTTP/1.1 200")

        poll(has_answer)
    server.close()


def test_a_forked_process_lets_go_of_its_copy_alone(server):
    """The one that goes on serves its clients and its port."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /healthz")
        poll(lambda: server.clients == 1)
        pid = os.fork()
        if pid == 0:
            server.close()
            os._exit(0)
        os.waitpid(pid, 0)
        client.sendall(b" HTTP/1.1\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200")
    assert get(server, "/healthz")[0] == 200


def test_stopping_closes_the_port(server):
    """Safe twice."""
    server.stop()
    server.stop()

    with pytest.raises(OSError):
        get(server, "/healthz")


def test_it_can_be_stopped_without_a_start():
    """When something else failed before."""
    server = HealthServer("127.0.0.1", 0, registry=CollectorRegistry(), sick=list, unready=list)

    server.stop()
