"""A cluster of three nodes for all tests of this folder, with a yard beside it for each."""

import os
import shutil
from collections.abc import Iterator

import pytest

from taskyard.local_servers.programs import rabbitmq_version
from tests.cluster.nodes import Cluster
from tests.yard import Yard

#: As an operator has them, apart from those that only make tests short.
ENV = {"LEASE_S": "15", "HEARTBEAT_S": "1", "RELAY_AFTER_S": "10"}


def _missing() -> str:
    """Return what the tests lack here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and `ip` (iproute2), for networks of its own"
    version = rabbitmq_version()
    if version.startswith(("3.", "4.0", "4.1", "4.2")) or version == "none":
        return f"needs RabbitMQ 4.3, and finds {version}: `make servers` installs it"
    return ""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """Three nodes in good order."""
    if missing := _missing():
        pytest.exit(f"tests/cluster {missing}", returncode=2)
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def yard(cluster, redis_server, tmp_path, monkeypatch) -> Iterator[Yard]:
    """A yard on the cluster, which is healed at the end."""
    yard = Yard(cluster, redis_server, tmp_path, **ENV)
    monkeypatch.setenv("TASKYARD_TEST_FOLDER", str(tmp_path))
    yield yard
    cluster.heal()
    yard.close()
