"""The API is killed while it takes submissions: what it accepted, and what it may have, runs once."""

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskyard.message import new_id
from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll


@pytest.fixture
def yard(make_yard, rabbit):
    """A yard of its own, whose worker knows its tasks; RabbitMQ goes on at the end, whatever happened."""
    yard = make_yard()
    with yard.running(yard.worker(), yard.scheduler()):
        yield yard
        rabbit.resume()


def submit(api, yard, *ids: str) -> bool:
    """Submit jobs of these ids, many as a batch; return whether the API said that they are safe."""
    asked = [{"task": tasks.note.name, "id": each, "queue": yard.queue} for each in ids]
    path, body = ("/v1/jobs", asked[0]) if len(ids) == 1 else ("/v1/jobs/batch", {"jobs": asked})
    request = urllib.request.Request(
        f"{api.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status in (200, 202)
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False
    except OSError:
        return False


def check_ran_once(yard, ids: list[str]) -> None:
    """Check that each of these jobs ran once, by the tasks' own word."""
    ran = [event.job_id for event in yard.events("ran") if event.job_id in set(ids)]
    assert sorted(ids) == sorted(ran)


def test_what_was_recorded_is_published_by_others(yard, rabbit):
    """Killed between record and publish: no answer was given, and `relay` publishes each job, once."""
    api = yard.api()
    ids = [new_id() for _ in range(10)]
    with yard.running(api):
        assert submit(api, yard, new_id())  # it is connected, and the queue is there
        yard.come_to_rest()
        rabbit.pause()
        with ThreadPoolExecutor(len(ids)) as pool:
            answers = [pool.submit(submit, api, yard, each) for each in ids]
            poll(lambda: "missing" not in yard.states(ids))
            api.kill()
            assert not any(answer.result() for answer in answers)
        rabbit.resume()

    poll(lambda: yard.states(ids)["completed"] == len(ids))
    check_ran_once(yard, ids)


def test_submissions_under_load_outlive_the_api(yard):
    """Clients send again what was not answered, with the same id: nothing is lost, nothing runs twice."""
    api = yard.api()
    over = threading.Event()
    accepted: list[str] = []
    retried: list[str] = []

    def client(size: int) -> None:
        while not over.is_set():
            ids = [new_id() for _ in range(size)]
            while not submit(api, yard, *ids):
                retried.extend(ids)
                over.wait(0.05)
            accepted.extend(ids)

    clients = [threading.Thread(target=client, args=(size,)) for size in (1, 1, 1, 1, 20)]
    with yard.running(api):
        for each in clients:
            each.start()
        poll(lambda: len(accepted) > 100)
        api.kill()
        api.start()
        api.wait_ready()
        before = len(accepted)
        poll(lambda: len(accepted) > before + 100)
        over.set()
        for each in clients:
            each.join(30)

    ledger = Ledger(yard)
    ledger.add(*accepted)
    assert ledger.settle().keys() == {"completed"}
    check_ran_once(yard, accepted)
    assert retried
