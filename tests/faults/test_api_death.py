"""The API is killed while it takes submissions: what it accepted, and what it may have, runs once."""

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
    return send(api, path, body)


def send(api, path: str, body: Any) -> bool:
    """Send a submission; return whether the API said that it is safe."""
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


def test_a_replacing_that_was_broken_off_is_ended_by_others(yard, rabbit):
    """Killed before the new job's message was confirmed: until it is, the other one is left in its place."""
    api = yard.api()
    old, new = yard.submit(tasks.replacing_account, "a", delay_s=3600).id, new_id()
    body = {"task": tasks.replacing_account.name, "args": ["a"], "id": new, "queue": yard.queue}
    with yard.running(api):
        assert submit(api, yard, new_id())
        yard.come_to_rest()
        rabbit.pause()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(send, api, "/v1/jobs", body)
            poll(lambda: yard.job(new))
            api.kill()
            assert not answer.result()
        assert yard.job(old).state == "scheduled"
        rabbit.resume()

    poll(lambda: yard.states([new])["completed"])
    assert yard.job(old).state == "cancelled"
    check_ran_once(yard, [new])


def test_what_was_answered_with_503_does_not_run(yard, rabbit):
    """RabbitMQ was frozen and takes the messages later; and nothing was replaced by them."""
    api = yard.api(PUBLISH_DEADLINE_S="0.5")
    old, ids = yard.submit(tasks.replacing_account, "b", delay_s=3600).id, [new_id(), new_id()]
    body = {"task": tasks.replacing_account.name, "args": ["b"], "id": ids[1], "queue": yard.queue}
    with yard.running(api):
        poll(lambda: submit(api, yard, new_id()))
        yard.come_to_rest()
        rabbit.pause()
        assert not submit(api, yard, ids[0])
        assert not send(api, "/v1/jobs", body)
        rabbit.resume()
        last = new_id()
        poll(lambda: submit(api, yard, last))
        poll(lambda: yard.states([last])["completed"])
        yard.come_to_rest()

        assert [yard.job(each) for each in ids] == [None, None]
        assert yard.job(old).state == "scheduled"
        assert [event for event in yard.events("ran") if event.job_id in set(ids)] == []

        poll(lambda: submit(api, yard, ids[0]))
        poll(lambda: yard.states([ids[0]])["completed"])
    yard.come_to_rest()
    check_ran_once(yard, ids[:1])


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
