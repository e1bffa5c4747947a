"""The stores that the conformance suite is run against; a new implementation is one more entry here."""

import socket
import uuid
from collections.abc import Callable, Iterator

import pytest

from taskyard import config
from taskyard.store import JobStore, open_store

#: For each implementation the fixture that gives its URL, and the URL of a server at a port.
IMPLEMENTATIONS = {"redis": ("result_backend", "redis://127.0.0.1:{port}/0")}

NewStore = Callable[..., JobStore]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request) -> str:
    """The implementation under test."""
    return str(request.param)


@pytest.fixture
def new_store(request, implementation, key_prefix) -> Iterator[NewStore]:
    """A function that opens a store: another handle on this test's jobs, or (`is_fresh`) an empty one."""
    fixture, _ = IMPLEMENTATIONS[implementation]
    url = request.getfixturevalue(fixture)
    opened: list[JobStore] = []

    def open_one(*, is_fresh: bool = False, **settings: object) -> JobStore:
        corner = f"{key_prefix}{uuid.uuid4().hex[:8]}:" if is_fresh else key_prefix
        opened.append(
            open_store(config.load(**{"result_backend": url, "key_prefix": corner, **settings}))
        )
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store: NewStore) -> JobStore:
    """An empty store."""
    return new_store()


@pytest.fixture
def absent_url(implementation) -> str:
    """The URL of a server that is not there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return IMPLEMENTATIONS[implementation][1].format(port=port)


@pytest.fixture
def silent_url(implementation) -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield IMPLEMENTATIONS[implementation][1].format(port=server.getsockname()[1])
