"""Requests that are repeated with a key have one effect; and waits that a client prefers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.api.http import idempotency
from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.confirms import Failure

pytest_plugins = ["tests.integration.api_fixtures"]


def post(api, key, path="/v1/jobs", **body):
    """Submit with a key."""
    return api.post(path, json=body or {"task": "echo"}, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("path", ["/v1/jobs", "/add-task"])
def test_the_same_key_and_body_is_the_same_job(api, path):
    """The second answer is like the first, and says so; another key is another job."""
    first, again, other = (post(api, key, path) for key in ("k", "k", "l"))

    assert [answer.status_code for answer in (first, again, other)] == [202, 202, 202]
    assert first.json == again.json
    assert tuple(a.headers.get("Idempotency-Replayed") for a in (first, again)) == (None, "true")
    assert first.headers["Location"] == again.headers["Location"]
    assert first.json["id"] != other.json["id"]


def test_the_same_key_with_another_body_is_refused(api):
    """Also with another route; order and spaces make no other body."""
    post(api, "k", task="add", args=[1, 2])

    for answer in (
        post(api, "k", task="add", args=[2, 1]),
        post(api, "k", "/v1/jobs/batch", jobs=[{"task": "add", "args": [1, 2]}]),
    ):
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert post(api, "k", args=[1, 2], task="add").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
def test_a_key_has_a_form(api, key):
    """1 to 255 printable characters."""
    answer = post(api, key)

    assert (
        answer.status_code,
        answer.json["errors"][0]["parameter"],
    ) == (422, "Idempotency-Key")


def test_a_batch_is_repeated_as_one(api):
    """The same jobs are told."""
    jobs = [{"task": "echo"}] * 3
    first, again = (post(api, "k", "/v1/jobs/batch", jobs=jobs) for _ in range(2))

    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len({item["id"] for item in first.json["items"]}) == 3


def test_requests_at_once_make_one_job(api, client_of, settings, dispatcher):
    """Whoever is second gets the first one's job."""
    count = 8
    barrier = threading.Barrier(count)
    clients = [client_of(settings, dispatcher) for _ in range(count)]

    def submit(client):
        barrier.wait(30)
        return post(client, "k")

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(submit, clients))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert api.get("/v1/stats").json["states"]["pending"] == 1


def test_a_request_that_died_before_its_answer_is_taken_up(api, monkeypatch):
    """Its job was recorded; nobody wrote the answer down."""
    with monkeypatch.context() as patch:
        patch.setattr(idempotency.KeyedRequest, "conclude", lambda self, answer: None)
        first = post(api, "k")

    again = post(api, "k")

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert first.json["id"] == again.json["id"]
    assert api.get("/v1/stats").json["states"]["pending"] == 1


def test_a_request_that_failed_may_be_repeated(api, dispatcher, monkeypatch):
    """It has had no effect, so its key is still good."""
    with monkeypatch.context() as patch:
        patch.setattr(dispatcher.publisher, "publish_each", _unconfirmed)
        assert post(api, "k").status_code == 503

    assert post(api, "k").status_code == 202
    assert api.get("/v1/stats").json["states"]["pending"] == 1


def _unconfirmed(messages, **_):
    return {0: Failure(BrokerUnavailable("away"), may_arrive=True)} if messages else {}


def test_a_job_whose_record_is_gone_is_not_made_again(api, worker):
    """The key outlives it."""
    job_id = post(api, "k").json["id"]
    worker.run(job_id)
    assert api.delete(f"/v1/jobs/{job_id}").status_code == 204

    assert post(api, "k").status_code == 404


def test_a_client_may_prefer_to_wait(api, worker):
    """The answer comes with the job's end, and says that it was waited for."""
    job_id = "awaited"

    def work():
        deadline = time.monotonic() + 30
        while api.application.test_client().get(f"/v1/jobs/{job_id}").status_code == 404:
            assert time.monotonic() < deadline
        worker.run(job_id, result="7")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        answer = api.post(
            "/v1/jobs", json={"task": "echo", "id": job_id}, headers={"Prefer": "wait=30"}
        )
        done.result()

    assert (
        answer.status_code,
        answer.json["state"],
        answer.json["result"],
    ) == (200, "completed", 7)
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_a_preference_that_passes_leaves_the_job_as_it_is(api, submit):
    """What is not understood is ignored."""
    path = f"/v1/jobs/{submit()}"

    answer = api.get(path, headers={"Prefer": "respond-async, wait=1"})
    assert (
        answer.status_code,
        answer.json["state"],
        answer.headers["Preference-Applied"],
    ) == (200, "pending", "wait=1")
    for prefer in ("wait=0", "wait=-1", "wait=x", "waiting=5", "respond-async"):
        assert "Preference-Applied" not in api.get(path, headers={"Prefer": prefer}).headers
