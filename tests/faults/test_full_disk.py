"""The store's disk is full: it refuses every write, `MISCONF`, until there is room again."""

import json
import urllib.request

import pytest
import redis

from taskyard.errors import StoreUnavailable
from taskyard.message import new_id
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE
from tests import worker_tasks as tasks
from tests.faults.busy_yard import busy_worker, outlast
from tests.faults.ledger import Ledger
from tests.faults.test_api_death import check_ran_once, submit
from tests.full_disk import RedisWithDisk
from tests.polling import poll
from tests.yard import Yard

#: What Redis keeps on the disk. Where it cannot it refuses writes; of snapshots after the first that fails.
KEPT = {
    "append-only file": {},
    "snapshots": {"appendonly": "no", "save": "1 1"},
}


@pytest.fixture(params=KEPT)
def server(request, tmp_path):
    """A Redis that keeps its data so."""
    with RedisWithDisk(tmp_path, **KEPT[request.param]) as server:
        yield server


@pytest.fixture
def yard(rabbit, server, tmp_path):
    """A yard on it, with a scheduler."""
    yard = Yard(rabbit, server, tmp_path, LEASE_S="2")
    with yard.running(yard.scheduler()):
        yield yard
    yard.close()


def refuses(server):
    """Whether Redis refuses to write because of its disk."""
    with redis.Redis.from_url(server.url) as client:
        try:
            client.set("a write", 1)
        except redis.ResponseError as error:
            return str(error).startswith("MISCONF")
    return False


def publish(yard, job_id):
    """Publish a submission as a program in another language does."""
    asked = {"id": job_id, "task": tasks.note.name, "queue": yard.queue}
    with yard.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish(SUBMIT_EXCHANGE, "", json.dumps(asked).encode())


def listed(api, yard):
    """Return the ids of the queue's jobs, as the API lists them."""
    with urllib.request.urlopen(f"{api.url}/v1/jobs?queue={yard.queue}", timeout=30) as answer:
        return {job["id"] for job in json.load(answer)["items"]}


def test_a_disk_that_is_full_for_longer_than_a_lease_loses_nothing(yard, server):
    """What runs goes on, and its end is recorded once there is room; what was refused does not run."""
    ledger = Ledger(yard)
    worker, api = yard.worker(), yard.api()
    refused, over_amqp, last = new_id(), new_id(), new_id()
    with yard.running(worker, api):
        running, behind, gate = busy_worker(yard, ledger)
        due = yard.submit(tasks.note, delay_s=1).id
        ledger.add(due, over_amqp, last)

        with server.full_disk():
            poll(lambda: refuses(server))
            assert not submit(api, yard, refused)
            with pytest.raises(StoreUnavailable, match="MISCONF"):
                yard.submit(tasks.note)
            publish(yard, over_amqp)
            outlast(4)  # two leases
            yard.open(gate)
            for each in running:
                yard.await_event("passed", each)
            poll(lambda: any("heartbeat" in problem for problem in worker.problems()))
            outlast(4)
            assert not yard.events("ran")
            assert yard.states(running) == {"running": 2}
            assert listed(api, yard) == {*running, *behind, due}

        # Whoever comes first afterwards, no lease has ended meanwhile.
        poll(
            lambda: yard.logged(
                event="leases are extended: nobody could reach the store for some time"
            )
        )
        poll(lambda: submit(api, yard, last))
        assert ledger.settle() == {"completed": 25}
        assert yard.job(refused) is None
        assert all(len(yard.events("waits", each)) == 1 for each in running)
        check_ran_once(yard, [*behind, due, over_amqp, last])
        for each in [*running, *behind]:
            assert [attempt.outcome for attempt in yard.job(each).attempts] == ["completed"]
        assert not yard.events("ran", refused)
        assert yard.dead_messages() == 0
        poll(lambda: worker.problems() == [])
