"""The lists of tasks, queues and workers, and the probes, on real servers."""

import socket
import time

import pytest
from msgspec.structs import replace

from taskyard.dispatcher import Dispatcher
from taskyard.store import open_store
from tests.contract import jobs
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]


def test_tasks_are_listed_with_their_arguments(api, conforms):
    """Each task tells its queue, its defaults and what it takes."""
    answer = api.get("/v1/tasks")

    assert conforms(answer.json, "TaskList") == []
    add, echo, once = answer.json["items"]
    assert (add["name"], add["description"], add["timeout_s"]) == ("add", "Add two numbers.", 60)
    assert add["signature"]["positional"] == ["a", "b"]
    assert echo["name"] == "echo"
    assert (once["unique_for"], once["unique_policy"]) == (60, "reject")


def test_queues_are_listed_with_their_jobs(api, store, submit, catalogued, conforms):
    """A queue tells how many jobs are in each state, and one without jobs is there too."""
    store.declare([], ["an-empty-one"])
    for delay_s in (0, 0, 60):
        submit(delay_s=delay_s)

    answer = api.get("/v1/queues")

    assert conforms(answer.json, "QueueList") == []
    found = {item["queue"]: item for item in answer.json["items"]}
    assert set(found) == {catalogued, "an-empty-one"}
    assert tuple(found[catalogued]["states"][s] for s in ("pending", "scheduled", "running")) == (
        2,
        1,
        0,
    )
    assert found[catalogued]["oldest_pending_s"] >= 0
    assert set(found["an-empty-one"]["states"].values()) == {0}
    assert found["an-empty-one"]["oldest_pending_s"] is None


def test_workers_are_listed_with_times_to_read(api, store, conforms):
    """Times are RFC 3339, the worker's own ones too."""
    store.heartbeat("w1", {"host": "here", "started_at": 1_700_000_000_123}, jobs.HOUR_MS, [])

    answer = api.get("/v1/workers")

    assert conforms(answer.json, "WorkerList") == []
    (worker,) = answer.json["items"]
    assert tuple(worker[k] for k in ("id", "host", "is_alive", "running")) == (
        "w1",
        "here",
        True,
        0,
    )
    assert worker["started_at"] == "2023-11-14T22:13:20.123Z"


def test_it_is_ready_once_the_broker_is_connected(api, publisher):
    """Readiness needs the store and a connection to RabbitMQ."""
    before = api.get("/readyz")
    publisher.start()
    poll(lambda: publisher.is_ready)
    after = api.get("/readyz")

    assert (before.status_code, after.status_code) == (503, 200)
    assert "RabbitMQ" in before.json["problems"][0]
    assert after.json == {"ok": True, "problems": []}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer_while_the_store_hangs(client_of, settings, publisher, silent_server, path):
    """A store that says nothing makes the API unready long before its own deadline, but not unhealthy."""
    hanging = replace(settings, result_backend=silent_server, store_timeout_s=60)
    client = client_of(hanging, Dispatcher(open_store(hanging), publisher))

    started = time.monotonic()
    answer = client.get(path)

    assert time.monotonic() - started < 30
    assert answer.status_code == (200 if path == "/healthz" else 503)


@pytest.fixture
def silent_server():
    """The URL of a Redis that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
