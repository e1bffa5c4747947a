"""The store's name gets another address, as in a planned failover, while calls are under way."""

from collections.abc import Iterator

import pytest
import redis

from taskyard.errors import StoreUnavailable
from taskyard.local_servers import RedisServer
from tests import worker_tasks as tasks
from tests.faults.busy_yard import busy_worker
from tests.faults.ledger import Ledger
from tests.faults.test_api_death import check_ran_once
from tests.nemesis.links import Links
from tests.polling import poll
from tests.yard import Yard


@pytest.fixture
def old(tmp_path) -> Iterator[RedisServer]:
    """The server that the name leads to at first."""
    with RedisServer(tmp_path / "old") as server:
        yield server


@pytest.fixture
def new(tmp_path, old) -> Iterator[RedisServer]:
    """Its replica."""
    options = {"replicaof": f"127.0.0.1 {old.port}"}
    with RedisServer(tmp_path / "new", extra_options=options) as server:
        poll(lambda: replication(server)["master_link_status"] == "up")
        yield server
        server.resume()


@pytest.fixture
def yard(rabbit, old, new, links, tmp_path) -> Iterator[Yard]:
    """A yard whose processes, and this one, know the store by that name; calls are given up late."""
    name = f"redis://127.0.0.1:{links.open('store', old.port)}/0"
    yard = Yard(rabbit, old, tmp_path, RESULT_BACKEND=name, STORE_TIMEOUT_S="30")
    with yard.running(yard.scheduler()):
        yield yard
    yard.close()


def replication(server: RedisServer) -> dict[str, str]:
    """Return what a server says of its part in the replication."""
    with redis.Redis.from_url(server.url) as client:
        return dict(client.info("replication"))


def fail_over(links: Links, old: RedisServer, new: RedisServer) -> None:
    """Have the replica take over, losing nothing; calls that come meanwhile wait, and are then refused."""
    new.pause()
    with redis.Redis.from_url(old.url) as client:
        client.execute_command("FAILOVER", "TO", "127.0.0.1", new.port)
        poll(lambda: paused_calls(client) >= 3)
    links.lead("store", new.port)
    new.resume()
    poll(lambda: (replication(old)["role"], replication(new)["role"]) == ("slave", "master"))


def paused_calls(client: redis.Redis) -> int:
    """Return how many clients wait for the answer to a script."""
    return sum(
        row["cmd"] in ("evalsha", "eval") and "b" in row["flags"] for row in client.client_list()
    )


def test_a_store_that_moves_while_scripts_are_under_way_loses_nothing(yard, old, new, links):
    """What was under way is refused, and asked again where the store is now."""
    ledger = Ledger(yard)
    worker = yard.worker()
    with yard.running(worker, yard.api()):
        running, behind, gate = busy_worker(yard, ledger)
        due = yard.submit(tasks.note, delay_s=1).id
        ledger.add(due)

        fail_over(links, old, new)

        yard.open(gate)
        last = poll(lambda: submitted(yard))
        ledger.add(last)
        assert ledger.settle() == {"completed": 24}
        check_ran_once(yard, [*behind, due, last])
        assert all(len(yard.events("waits", each)) == 1 for each in running)
        for each in [*running, *behind]:
            assert [attempt.outcome for attempt in yard.job(each).attempts] == ["completed"]
        assert yard.store.check_records("0", 1000).findings == []
        poll(lambda: worker.problems() == [])


def submitted(yard: Yard) -> str:
    """Return the id of one more job, or an empty text as long as the store cannot be reached."""
    try:
        return yard.submit(tasks.note).id
    except StoreUnavailable:
        return ""
