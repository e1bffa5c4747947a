"""The API on real servers, called in this process; test files ask for it by `pytest_plugins`."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from apiflask import APIFlask

from services.api.app import compose, create_app
from services.api.context import attach
from taskyard import task
from taskyard.catalogue import describe
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.job_creation import Defaults
from taskyard.keys import new_key, new_token
from taskyard.store import JobStore
from tests.contract import jobs


@task
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@task
def echo(value: object = None) -> object:
    """Give back what was given."""
    return value


@task(unique_for=60, unique_policy="reject")
def once(value: int) -> int:
    """Give back a number, not twice at a time."""
    return value


@pytest.fixture
def catalogued(store, queue) -> str:
    """The queue of the tasks that the catalogue knows: `add`, `echo` and `once`."""
    defaults = Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(each, defaults) for each in (add, echo, once)], [queue])
    return str(queue)


@pytest.fixture
def other_queue(store, catalogued) -> str:
    """A second queue that the catalogue knows; it is no task's own."""
    name = f"{catalogued}-b"
    store.declare([], [catalogued, name])
    return name


@pytest.fixture(scope="session")
def made_applications() -> list[APIFlask]:
    """The applications of earlier tests: to make the routes of one takes as long as a test."""
    return []


@pytest.fixture
def client_of(made_applications) -> Callable[[Settings, Dispatcher], Any]:
    """A function that returns a client of an application that no other client of this test has.

    All that an application knows is in its context, and that is new. A test that adds hooks to one, or asks
    for the document under another `api_metrics_open`, has to make its own: both stay.
    """
    free = list(made_applications)

    def client(settings: Settings, dispatcher: Dispatcher) -> Any:
        if free:
            app = free.pop()
            attach(app, compose(settings, dispatcher))
        else:
            app = create_app(settings, dispatcher)
            made_applications.append(app)
        return app.test_client()

    return client


@pytest.fixture
def api(client_of, settings, dispatcher, catalogued) -> Any:
    """A client of an application that knows the tasks `add` and `echo`."""
    return client_of(settings, dispatcher)


@pytest.fixture
def conforms(api):
    """A function that tells how a document departs from a schema that the API publishes."""
    components = api.get("/openapi.json").json["components"]

    def departures(document: Any, schema: str) -> list[str]:
        whole = {"$ref": f"#/components/schemas/{schema}", "components": components}
        validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return [
            f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)
        ]

    return departures


class Worker:
    """Stands in for a worker: claims jobs of one queue and settles them as it is told.

    Args:
        store: Where the jobs are.
        queue: The queue that their messages come from.
    """

    def __init__(self, store: JobStore, queue: str) -> None:
        self._store = store
        self._queue = queue
        jobs.heartbeat(store)

    def ask(self, job_id: str) -> str:
        """Ask to start the job's first attempt; return the verdict."""
        return jobs.claim(self._store, job_id, queue=self._queue).kind

    def start(self, job_id: str) -> int:
        """Start the job's first attempt; return its token."""
        return jobs.claim(self._store, job_id, queue=self._queue).token

    def end(self, job_id: str, token: int, kind: str, **fields: Any) -> None:
        """Settle the attempt."""
        assert jobs.settle(self._store, job_id, token, kind, **fields)

    def run(self, job_id: str, kind: str = "completed", **fields: Any) -> None:
        """Start the job and settle its attempt."""
        self.end(job_id, self.start(job_id), kind, **fields)


@pytest.fixture
def worker(store, catalogued) -> Worker:
    """A worker of the queue of the known tasks."""
    return Worker(store, catalogued)


@pytest.fixture
def submit(api):
    """A function that submits a job of the task `echo` and returns its id."""

    def submit_one(**fields: Any) -> str:
        answer = api.post("/v1/jobs", json={"task": "echo", **fields})
        assert answer.status_code == 202, answer.json
        return str(answer.json["id"])

    return submit_one


class Caller:
    """Sends requests with a key.

    Args:
        client: A client of the application.
        token: The key.
    """

    def __init__(self, client: Any, token: str) -> None:
        self.token = token
        self._client = client

    def open(self, path: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """Send a request; GET if no `method` is named."""
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return self._client.open(path, headers=headers, **fields)

    def get(self, path: str, **fields: Any) -> Any:
        """Send a GET."""
        return self.open(path, **fields)

    def post(self, path: str, **fields: Any) -> Any:
        """Send a POST."""
        return self.open(path, method="POST", **fields)


@pytest.fixture
def caller(api, store) -> Callable[..., Caller]:
    """A function that makes a key with these scopes and returns who uses it."""

    def make(*scopes: str, ttl_ms: int | None = None, **fields: Any) -> Caller:
        token = new_token()
        key = new_key(token, **{"name": f"k-{token[3:15]}", "scopes": scopes, **fields})
        assert store.add_key(key, ttl_ms=ttl_ms, max_keys=1000) == "added"
        return Caller(api, token)

    return make
