"""Health and metrics over HTTP."""

import http.client
import json
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter

from taskyard.health import HealthServer


class Probes:
    """What the server is told to say."""

    def __init__(self) -> None:
        self.sick: list[str] = []
        self.unready: list[str] = []


@pytest.fixture
def probes():
    return Probes()


@pytest.fixture
def server(probes):
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    server = HealthServer(
        "127.0.0.1",
        0,
        registry=registry,
        sick=lambda: probes.sick,
        unready=lambda: probes.unready,
    )
    server.start()
    yield server
    server.stop()


def get(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path)
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


def test_a_client_that_says_nothing_does_not_stop_the_others(server):
    """It is cut off after a moment."""
    with socket.create_connection(("127.0.0.1", server.port)):
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
